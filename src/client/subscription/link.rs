//! The one connection a watch has at a time: whether it is there, whether it is alive, and what is spoken on it.

use crate::client::backoff::Backoff;
use crate::client::connection::ClientConnection;
use crate::client::frames::FrameReader;
use alloc::string::String;

/// Time between pings, in milliseconds.
const PING_MS: u64 = 10_000;
/// A connection that was silent for this long is given up, in milliseconds.
const SILENCE_MS: u64 = 30_000;

/// How the shell connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchTransport {
    /// A WebSocket whose handshake the shell can read: it knows why one is refused, and which protocol was chosen. With
    /// `offers` the service may choose `edgequeue.v1`.
    Socket {
        /// Whether the service is one that may be offered more than every service has.
        offers: bool,
    },
    /// A page's WebSocket with `edgequeue.v1`. Pages are not told why a handshake is refused. So the handshake asks
    /// for an empty window, which is never refused, and the first request asks for the real one.
    PageSocket,
    /// An endless HTTP answer. It needs no pings: that it is gone shows by itself.
    Stream,
}

/// What a request on a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedFor {
    /// The first window: may this be a watch?
    Begin,
    /// Another window.
    Resize,
    /// No window for as long as the user has too much, or the old one again.
    Flow,
    /// Decisions.
    Settle,
}

/// What is spoken on the connection.
#[derive(Debug)]
pub enum Speech {
    /// Every message is one frame.
    Frames,
    /// Frames come in pieces of an endless answer.
    Pieces(FrameReader),
    /// `edgequeue.v1`.
    Session(ClientConnection<AskedFor>),
}

/// How far the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkStage {
    /// There is none; the next attempt is at this time.
    Apart {
        /// In milliseconds.
        until_ms: u64,
    },
    /// An attempt is under way.
    Connecting,
    /// Entries arrive.
    Open {
        /// When something was heard last, in milliseconds.
        heard_ms: u64,
        /// When the next ping is due, in milliseconds.
        ping_ms: u64,
    },
    /// There will be no other one.
    Over,
}

/// What has to be done about the connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Need {
    /// An attempt to connect.
    Connect,
    /// A ping.
    Ping,
    /// It was silent for too long: it is to be closed and given up.
    GiveUp,
    /// Nothing before this time, in milliseconds.
    Nothing(u64),
}

/// The connection.
#[derive(Debug)]
pub struct Link {
    pub transport: WatchTransport,
    /// Counts connections from 1. News about an older one changes nothing.
    pub number: u64,
    pub stage: LinkStage,
    /// `None` before the connection is there and after it is gone.
    pub speech: Option<Speech>,
    /// Whether any connection was ever open. Until then every failure is final: the address may be wrong.
    pub was_open: bool,
    /// A ping was sent, and nothing was heard since.
    waits_for_pong: bool,
    backoff: Backoff,
    /// Why the last connection is gone, for people.
    pub why: String,
}

impl Link {
    /// Not connected yet. `seed` should differ between clients.
    pub fn new(transport: WatchTransport, seed: u64) -> Self {
        Self {
            transport,
            number: 0,
            stage: LinkStage::Apart { until_ms: 0 },
            speech: None,
            was_open: false,
            waits_for_pong: false,
            backoff: Backoff::new(seed),
            why: String::new(),
        }
    }

    /// Whether entries arrive.
    pub fn is_open(&self) -> bool {
        matches!(self.stage, LinkStage::Open { .. })
    }

    /// Whether this is the connection that is being made, or is there.
    pub fn is_current(&self, number: u64) -> bool {
        number == self.number && (self.is_open() || self.stage == LinkStage::Connecting)
    }

    /// Attempts to connect that failed since a connection was of use.
    pub fn failures(&self) -> u32 {
        self.backoff.failures()
    }

    /// The requests and answers of a connection that speaks `edgequeue.v1`, also while it begins.
    pub fn session(&mut self) -> Option<&mut ClientConnection<AskedFor>> {
        match &mut self.speech {
            Some(Speech::Session(session)) => Some(session),
            _ => None,
        }
    }

    /// An attempt is made.
    pub fn connect(&mut self) {
        self.number += 1;
        self.stage = LinkStage::Connecting;
    }

    /// Entries arrive from now on.
    pub fn open(&mut self, now_ms: u64) {
        self.stage = LinkStage::Open { heard_ms: now_ms, ping_ms: now_ms + PING_MS };
        self.was_open = true;
        self.waits_for_pong = false;
    }

    /// Something was heard.
    pub fn hear(&mut self, now_ms: u64) {
        if let LinkStage::Open { heard_ms, .. } = &mut self.stage {
            *heard_ms = now_ms;
            self.waits_for_pong = false;
            self.backoff.reset();
        }
    }

    /// The shell was held back for a while, and a silence that it could not hear does not count. A ping that was sent
    /// before that is owed an answer all the same.
    pub fn excuse(&mut self, now_ms: u64) {
        if let LinkStage::Open { heard_ms, .. } = &mut self.stage
            && !self.waits_for_pong
        {
            *heard_ms = now_ms;
        }
    }

    /// It is gone and will be made again.
    pub fn part(&mut self, now_ms: u64) {
        self.stage = LinkStage::Apart { until_ms: now_ms + self.backoff.next_ms() };
    }

    /// What has to be done. A ping counts as sent.
    pub fn need(&mut self, now_ms: u64) -> Need {
        let is_stream = self.transport == WatchTransport::Stream;
        match &mut self.stage {
            LinkStage::Apart { until_ms } if now_ms >= *until_ms => Need::Connect,
            LinkStage::Apart { until_ms } => Need::Nothing(*until_ms),
            LinkStage::Connecting | LinkStage::Over => Need::Nothing(u64::MAX),
            LinkStage::Open { .. } if is_stream => Need::Nothing(u64::MAX),
            LinkStage::Open { heard_ms, .. } if now_ms >= *heard_ms + SILENCE_MS => Need::GiveUp,
            LinkStage::Open { ping_ms, .. } if now_ms >= *ping_ms => {
                *ping_ms = now_ms + PING_MS;
                self.waits_for_pong = true;
                Need::Ping
            }
            LinkStage::Open { heard_ms, ping_ms } => Need::Nothing((*ping_ms).min(*heard_ms + SILENCE_MS)),
        }
    }
}
