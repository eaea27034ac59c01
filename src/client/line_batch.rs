//! Lines on their way into a queue.

use crate::queue::entry::{Frame, TAG_REQUEST_ID};
use crate::queue::limits::BATCH_ENTRIES_MAX;
use crate::wire::proto::frame;
use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use bytes::Bytes;
use prost::Message;

/// Bytes of the bodies of one batch: large enough to make requests rare, small enough to be held a few times.
const BYTES_MAX: usize = 2 * 1024 * 1024;

/// Consecutive lines that are put with one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineBatch {
    /// Number of the first line in its source, from 1.
    pub line: u64,
    /// Number of the first line among those that are sent, from 0.
    pub position: u64,
    /// Their bodies.
    pub bodies: Vec<Bytes>,
    bytes: usize,
}

impl LineBatch {
    /// An empty batch.
    pub fn starting_at(line: u64, position: u64) -> Self {
        Self { line, position, bodies: Vec::new(), bytes: 0 }
    }

    /// SearchResult and number of each line.
    pub fn lines(&self) -> impl Iterator<Item = (u64, u64)> + use<> {
        let (line, position) = (self.line, self.position);
        (0..self.bodies.len() as u64).map(move |at| (position + at, line + at))
    }

    /// Bytes of the bodies.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a line.
    pub fn push(&mut self, body: Bytes) {
        self.bytes += body.len();
        self.bodies.push(body);
    }

    /// Whether it takes no further line. `lines_max` asks for batches smaller than the service's limit.
    pub fn is_full(&self, lines_max: usize) -> bool {
        self.bodies.len() >= lines_max.min(BATCH_ENTRIES_MAX) || self.bytes >= BYTES_MAX
    }

    /// The batch as a list of frames. `request_id` gives a line, by its number, a request id of its own.
    pub fn encode(&self, request_id: impl Fn(u64) -> Option<String>) -> Vec<u8> {
        let frame = |(line, data): (u64, &Bytes)| {
            let tags = request_id(line).map(|id| (TAG_REQUEST_ID.to_string(), id)).into_iter().collect();
            Frame { data: data.clone(), tags, ..Frame::default() }.encode_to_vec().into()
        };
        frame::list(&(self.line..).zip(&self.bodies).map(frame).collect::<Vec<Bytes>>())
    }

    /// Two batches of about half the lines, in order: one refused line must not take the others with it.
    pub fn halves(mut self) -> (Self, Self) {
        let middle = self.bodies.len() / 2;
        let second = self.bodies.split_off(middle);
        let of = |at: u64, bodies: Vec<Bytes>| Self {
            line: self.line + at,
            position: self.position + at,
            bytes: bodies.iter().map(Bytes::len).sum(),
            bodies,
        };
        (of(0, self.bodies), of(middle as u64, second))
    }
}
