//! The Durable Object of one queue. Every event becomes an input of the [`Broker`], every output a call to the
//! [`Host`].

use std::cell::RefCell;

use bytes::Bytes;
use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;
use worker::{Env, State};

use super::{
    clock::{now_ms, random},
    head::HeadText,
    host::{Host, environment},
    storage::{ObjectSql, Storage},
};
use crate::broker::{
    Body, BodyError, Broker, ConnectionId, FetchId, Fetched, Input, Message, Output, RequestId, Wait as BrokerWait,
};
use crate::inference::outcome::PredictorAnswer;
use crate::store::{SegmentStore, sql::SqlRows};
use crate::wire;

type Store = SegmentStore<SqlRows<ObjectSql>>;

/// What must have happened before [`Shell::waited`] is called; see [`BrokerWait`].
#[wasm_bindgen]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    None,
    Soon,
    Turn,
    Moment,
    Durable,
}

/// One object. Every call returns the wait that must follow it.
#[wasm_bindgen]
pub struct Shell {
    storage: Storage,
    broker: RefCell<Broker<Store>>,
    #[cfg(feature = "faults")]
    strike: super::faults::Strike,
}

#[wasm_bindgen]
impl Shell {
    /// The shell of an object. Nothing is opened yet.
    #[wasm_bindgen(constructor)]
    pub fn new(state: JsValue, env: Env) -> Self {
        let state = State::from(state.unchecked_into::<worker::worker_sys::DurableObjectState>());
        let name = state.id().name().unwrap_or_default();
        let broker = Broker::new(&name, environment(env));
        Self {
            storage: Storage::of(&state),
            broker: RefCell::new(broker),
            #[cfg(feature = "faults")]
            strike: Default::default(),
        }
    }

    /// A request: its head, and its body if that is complete already.
    pub fn request(&self, host: &Host, id: f64, head: &str, body: Option<Vec<u8>>) -> Wait {
        let now_ms = now_ms();
        let call = HeadText::new(head).read(|head| wire::parse(head, now_ms));
        match call.and_then(|call| Ok((call, random()?))) {
            Ok((call, random)) => {
                let body = body.map_or(Body::Unread, |body| Body::Whole(body.into()));
                self.tell(host, Input::Request { id: RequestId(id as u64), call, body, random })
            }
            Err(refused) => {
                host.respond(id, &refused);
                Wait::None
            }
        }
    }

    /// The body that the broker asked for; `None` if it was too long.
    pub fn body(&self, host: &Host, id: f64, body: Option<Vec<u8>>) -> Wait {
        self.read(host, id, body.map(Bytes::from).ok_or(BodyError::TooLong))
    }

    /// The body that the broker asked for could not be read.
    pub fn body_failed(&self, host: &Host, id: f64, error: String) -> Wait {
        self.read(host, id, Err(BodyError::Broken(error)))
    }

    fn read(&self, host: &Host, id: f64, body: Result<Bytes, BodyError>) -> Wait {
        match random() {
            Ok(random) => self.tell(host, Input::Body { id: RequestId(id as u64), body, random }),
            Err(refused) => {
                host.respond(id, &refused);
                self.tell(host, Input::Gone(RequestId(id as u64)))
            }
        }
    }

    /// The client of a request that is held went away.
    pub fn gone(&self, host: &Host, id: f64) -> Wait {
        self.tell(host, Input::Gone(RequestId(id as u64)))
    }

    /// A binary message on a socket.
    pub fn message(&self, host: &Host, connection: f64, message: Vec<u8>) -> Wait {
        self.said(host, connection, Message::Binary(message.into()))
    }

    /// A text message on a socket.
    pub fn text(&self, host: &Host, connection: f64) -> Wait {
        self.said(host, connection, Message::Text)
    }

    fn said(&self, host: &Host, connection: f64, message: Message) -> Wait {
        let connection = ConnectionId(connection as u64);
        match random() {
            Ok(random) => self.tell(host, Input::Message { connection, message, random }),
            // Without an answer the client would wait for ever.
            Err(refused) => {
                host.close(connection.0 as f64, 1011, &String::from_utf8_lossy(&refused.body));
                self.tell(host, Input::Closed(connection))
            }
        }
    }

    /// The client closed a connection, or it broke.
    pub fn closed(&self, host: &Host, connection: f64) -> Wait {
        self.tell(host, Input::Closed(ConnectionId(connection as u64)))
    }

    /// The alarm went off.
    pub fn alarm(&self, host: &Host) -> Wait {
        self.tell(host, Input::Alarm)
    }

    /// The time the alarm is set to, Unix milliseconds.
    pub fn alarm_set(&self, host: &Host, at_ms: Option<f64>) -> Wait {
        self.tell(host, Input::AlarmSet(at_ms.map(|ms| ms as u64)))
    }

    /// The timer went off.
    pub fn timer(&self, host: &Host) -> Wait {
        self.tell(host, Input::Timer)
    }

    /// The answer to a call begins.
    pub fn begun(&self, host: &Host, id: f64, status: u16, length: Option<f64>) -> Wait {
        self.news(host, id, Fetched::Begun(status, length.map(|length| length as u64)))
    }

    /// The answer to a call was read.
    pub fn answered(
        &self,
        host: &Host,
        id: f64,
        status: u16,
        content_type: Option<String>,
        body: Vec<u8>,
        cut: bool,
    ) -> Wait {
        self.news(host, id, Fetched::Answered(PredictorAnswer { status, content_type, body: body.into(), cut }))
    }

    /// A call failed.
    pub fn failed(&self, host: &Host, id: f64, error: String) -> Wait {
        self.news(host, id, Fetched::Failed(error))
    }

    fn news(&self, host: &Host, id: f64, news: Fetched) -> Wait {
        self.tell(host, Input::Fetched(FetchId(id as u64), news))
    }

    /// The wait is over.
    pub fn waited(&self, host: &Host) -> Wait {
        self.tell(host, Input::Waited)
    }
}

#[cfg(feature = "faults")]
#[wasm_bindgen]
impl Shell {
    /// Has the next flush meet a fault: `panic` or `trap`.
    pub fn strike(&self, fault: &str) {
        self.strike.prepare(fault);
    }
}

impl Shell {
    /// Passes an input to the broker and does what it says. The broker is never borrowed while the host acts.
    fn tell(&self, host: &Host, input: Input<Store>) -> Wait {
        let now_ms = now_ms();
        self.broker.borrow_mut().handle(now_ms, input);
        let mut wait = Wait::None;
        loop {
            let Some(output) = self.broker.borrow_mut().poll(now_ms) else { return wait };
            match output {
                Output::Open => self.open(host, now_ms),
                Output::Flush { rows_max } => self.flush(now_ms, rows_max),
                Output::Wait(what) => wait = Wait::of(what),
                Output::AskHeartbeats(connections) => {
                    let heartbeats = heartbeats(host, connections);
                    self.broker.borrow_mut().handle(now_ms, Input::Heartbeats(heartbeats));
                }
                output => say(host, output),
            }
        }
    }

    fn open(&self, host: &Host, now_ms: u64) {
        let store = self.storage.transaction(|| Store::open(SqlRows::open(self.storage.sql())?));
        let sockets = host.sockets().into_iter().map(|socket| {
            let connection = socket.get(0).as_f64().unwrap_or_default();
            (ConnectionId(connection as u64), Uint8Array::from(socket.get(1)).to_vec().into())
        });
        let sockets = sockets.collect();
        self.broker.borrow_mut().handle(now_ms, Input::Opened { store, sockets });
    }

    fn flush(&self, now_ms: u64, rows_max: usize) {
        let mut broker = self.broker.borrow_mut();
        #[cfg(feature = "faults")]
        self.strike.meet();
        let flushed = match rows_max {
            // One statement needs no transaction around it.
            0 | 1 => broker.flush(),
            _ => self.storage.transaction(|| broker.flush()),
        };
        broker.handle(now_ms, Input::Flushed(flushed));
    }
}

/// Bytes of memory that this instance has; it never gives any back.
#[wasm_bindgen]
pub fn memory_bytes() -> f64 {
    const PAGE_BYTES: usize = 64 * 1024;
    (core::arch::wasm32::memory_size(0) * PAGE_BYTES) as f64
}

fn heartbeats(host: &Host, connections: Vec<ConnectionId>) -> Vec<(ConnectionId, u64)> {
    let heard = host.heartbeats(connections.iter().map(|connection| connection.0 as f64).collect());
    let heard = connections.into_iter().zip(heard).filter(|(_, at_ms)| *at_ms > 0.0);
    heard.map(|(connection, at_ms)| (connection, at_ms as u64)).collect()
}

/// Carries out an output that is not a question.
fn say(host: &Host, output: Output) {
    match output {
        Output::ReadBody(id, max) => host.read_body(id.0 as f64, max as f64),
        Output::Hold(id) => host.hold(id.0 as f64),
        Output::Answer(id, answer) => host.respond(id.0 as f64, &answer),
        Output::Accept { request, connection, transport } => {
            host.connect(request.0 as f64, connection.0 as f64, transport);
        }
        Output::Send(connection, bytes) => host.send(connection.0 as f64, &bytes),
        Output::Close(connection, code, reason) => host.close(connection.0 as f64, code, reason),
        Output::Keep(connection, bytes) => host.keep(connection.0 as f64, &bytes),
        Output::AskAlarm => host.ask_alarm(),
        Output::SetAlarm(at_ms) => host.set_alarm(at_ms as f64),
        Output::AlarmDone(done) => host.alarm_done(done.err().as_deref()),
        Output::SetTimer(at_ms) => host.set_timer(at_ms.map(|ms| ms as f64)),
        Output::Fetch(id, fetch) => host.call(id.0 as f64, fetch),
        Output::Read(id, max) => host.read_outside(id.0 as f64, max as f64),
        Output::Abort(id) => host.abort_outside(id.0 as f64),
        Output::Log(line) => host.log(&line),
        Output::Open | Output::Flush { .. } | Output::Wait(_) | Output::AskHeartbeats(_) => {
            unreachable!("the loop answers questions")
        }
    }
}

impl Wait {
    fn of(wait: BrokerWait) -> Self {
        match wait {
            BrokerWait::Soon => Self::Soon,
            BrokerWait::Turn => Self::Turn,
            BrokerWait::Moment => Self::Moment,
            BrokerWait::Durable => Self::Durable,
        }
    }
}
