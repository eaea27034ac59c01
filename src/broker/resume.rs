//! The state kept with a socket while the object sleeps: its watch and its leases. `docs/storage.md` says why a
//! deployment never meets the format of another one.

use crate::queue::entry::{Filter, Index, Priority, Tags};
use crate::queue::event::{ConsumerId, Start, Watch};
use crate::queue::event::{Lease, ResumeState};
use crate::queue::store::Side;
use alloc::{string::String, vec::Vec};
use bytes::Bytes;
use prost::Message;

use super::io::ConnectionId;

/// Most bytes that are kept with a socket. The platform takes 16 KiB, its own framing included.
pub const BYTES_MAX: usize = 16 * 1024 - 128;

/// The stored form. Leases are written as differences, so that a full window fits. If they do not fit all the same, the
/// last ones are left out, and are delivered again after a sleep.
#[derive(Clone, PartialEq, Message)]
struct Record {
    #[prost(uint64, tag = "1")]
    watcher: u64,
    #[prost(bool, tag = "2")]
    rear: bool,
    #[prost(string, tag = "3")]
    group: String,
    #[prost(string, tag = "4")]
    user: String,
    #[prost(uint64, tag = "5")]
    from: u64,
    #[prost(uint32, tag = "6")]
    window: u32,
    #[prost(bool, tag = "7")]
    auto_commit: bool,
    #[prost(bool, tag = "8")]
    index_only: bool,
    #[prost(btree_map = "string, string", tag = "9")]
    filter: Tags,
    #[prost(uint64, repeated, tag = "10")]
    index_steps: Vec<u64>,
    #[prost(sint64, repeated, tag = "11")]
    priority_steps: Vec<i64>,
    #[prost(sint64, repeated, tag = "12")]
    since_steps: Vec<i64>,
    #[prost(uint32, repeated, tag = "13")]
    bytes: Vec<u32>,
    /// It speaks `edgequeue.v1`.
    #[prost(bool, tag = "14")]
    session: bool,
    /// It is a session of a sink.
    #[prost(bool, tag = "15")]
    sink: bool,
    /// It does not watch yet.
    #[prost(bool, tag = "16")]
    idle: bool,
    #[prost(uint64, tag = "17")]
    heartbeat_ms: u64,
    #[prost(bool, tag = "18")]
    draining: bool,
}

/// Stands for a watch of new entries only.
const FROM_NEWEST: u64 = u64::MAX;

/// A socket as it was when the broker was last in memory.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SocketState {
    pub connection: ConnectionId,
    pub side: Side,
    pub resume: ResumeState,
    /// For a session of `edgequeue.v1`: whether its queue is a sink.
    pub session: Option<bool>,
    /// It does not watch yet.
    pub idle: bool,
}

impl SocketState {
    /// Its bytes, at most [`BYTES_MAX`].
    pub fn encode(&self) -> Bytes {
        let mut kept = self.resume.leases.len();
        loop {
            let bytes = self.record(kept).encode_to_vec();
            if bytes.len() <= BYTES_MAX || kept == 0 {
                return bytes.into();
            }
            kept -= kept.div_ceil(8);
        }
    }

    fn record(&self, kept: usize) -> Record {
        let watch = &self.resume.watch;
        let start = match watch.start {
            Start::At(index) => index.0,
            Start::Newest => FROM_NEWEST,
        };
        let mut record = Record {
            watcher: self.connection.0,
            rear: self.side == Side::Rear,
            group: watch.consumer.group.clone(),
            user: watch.consumer.user.clone(),
            from: start,
            window: watch.window,
            auto_commit: watch.auto_commit,
            index_only: watch.index_only,
            filter: watch.filter.0.clone(),
            session: self.session.is_some(),
            sink: self.session == Some(true),
            idle: self.idle,
            heartbeat_ms: self.resume.heartbeat_ms,
            draining: self.resume.draining,
            ..Record::default()
        };
        let (mut index, mut priority, mut since) = (0, 0, 0);
        for lease in self.resume.leases.iter().take(kept) {
            record.index_steps.push(lease.index.0.wrapping_sub(index));
            record.priority_steps.push(lease.priority.0.wrapping_sub(priority));
            record.since_steps.push((lease.since_ms as i64).wrapping_sub(since));
            record.bytes.push(lease.bytes);
            (index, priority, since) = (lease.index.0, lease.priority.0, lease.since_ms as i64);
        }
        record
    }

    /// Reads the bytes kept with a socket. `None` for bytes that are not ours, and for the empty ones of a socket that
    /// is being closed.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let record = Record::decode(bytes).ok().filter(|record| record.watcher != 0)?;
        let (mut index, mut priority, mut since) = (0_u64, 0_i64, 0_i64);
        let steps = record.index_steps.iter().zip(&record.priority_steps).zip(&record.since_steps).zip(&record.bytes);
        let leases = steps.map(|(((index_step, priority_step), since_step), bytes)| {
            index = index.wrapping_add(*index_step);
            priority = priority.wrapping_add(*priority_step);
            since = since.wrapping_add(*since_step);
            Lease { index: Index(index), priority: Priority(priority), since_ms: since as u64, bytes: *bytes }
        });
        let leases = leases.collect();
        let watch = Watch {
            consumer: ConsumerId { group: record.group, user: record.user },
            start: if record.from == FROM_NEWEST { Start::Newest } else { Start::At(Index(record.from)) },
            window: record.window,
            auto_commit: record.auto_commit,
            index_only: record.index_only,
            filter: Filter(record.filter),
            local: false,
        };
        let side = if record.rear { Side::Rear } else { Side::Main };
        let session = record.session.then_some(record.sink);
        let resume = ResumeState { watch, leases, heartbeat_ms: record.heartbeat_ms, draining: record.draining };
        Some(Self { connection: ConnectionId(record.watcher), side, resume, session, idle: record.idle })
    }
}
