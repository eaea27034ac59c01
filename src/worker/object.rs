//! The Durable Object of one queue: a doorway. Requests become events, replies become responses.

use std::{
    cell::{OnceCell, RefCell},
    rc::Rc,
};

use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use wasm_bindgen::prelude::*;
use worker::{
    DurableObject, Env, Error, Request, Response, Result, State, WebSocket, WebSocketIncomingMessage, durable_object,
};

use super::{
    body,
    departure::Departure,
    desk::{Clerk, Desk, Outcome, Owed, Wait, now_ms, random},
    head,
    respond::{Caller, failed, respond},
    service::header_carried,
    session::{Terms, too_fast},
    sockets::Socket,
};
use crate::queue::{
    Event, Reply,
    event::{ConsumerId, Get, NewEntry, Once, Ticket},
    limits,
    store::Side,
};
use crate::wire::{
    Address, Answer, Call, Form, Operation, Progress, Purpose, RequestParts, Transport, answer,
    http::{progress, settings::Patch},
    parse as parse_request, rejection,
};

/// Largest form or settings body, in bytes.
const FORM_BYTES_MAX: u64 = 64 * 1024;

#[durable_object]
pub struct QueueObject {
    state: State,
    env: Env,
    clerk: RefCell<Option<Clerk>>,
    desk: OnceCell<Rc<Desk>>,
}

impl DurableObject for QueueObject {
    fn new(state: State, env: Env) -> Self {
        Self { state, env, clerk: RefCell::default(), desk: OnceCell::new() }
    }

    /// What [`QueueObject::quick`] leaves.
    async fn fetch(&self, mut request: Request) -> Result<Response> {
        match self.serve(&mut request).await {
            Ok(response) => Ok(response),
            Err(refused) => respond(refused),
        }
    }

    async fn alarm(&self) -> Result<Response> {
        // An error makes the platform call again.
        self.desk().alarm_rang().await.map_err(|error| Error::RustError(error.to_string()))?;
        Response::empty()
    }

    async fn websocket_message(&self, ws: WebSocket, message: WebSocketIncomingMessage) -> Result<()> {
        self.desk().message(&Socket::of(&ws), message);
        Ok(())
    }

    async fn websocket_close(&self, ws: WebSocket, code: usize, reason: String, _was_clean: bool) -> Result<()> {
        let socket = Socket::of(&ws);
        self.desk().socket_gone(&socket);
        // Without our half of the closing handshake the client waits ten seconds and reports a broken connection.
        let _ = socket.close(code as u16, &reason);
        Ok(())
    }

    async fn websocket_error(&self, ws: WebSocket, _error: Error) -> Result<()> {
        self.desk().socket_gone(&Socket::of(&ws));
        Ok(())
    }
}

/// The ways in that are used most. They leave nothing behind in the instance but what is owed, where a future would cost
/// several crossings.
#[wasm_bindgen]
impl QueueObject {
    /// Answers a request with what the queue says next; false for a request that needs more than that. `body` is the
    /// body where it is short and known to be complete: then the answer is never false.
    pub fn quick(&self, caller: &Caller, head: &str, body: Option<Vec<u8>>) -> bool {
        let asked = head::read(head, |head, _| {
            let call = parse_request(head, now_ms())?;
            match self.desk().faults().ask(head).map_err(Answer::bad)? {
                Some(report) => Err(Answer::text(200, report)),
                None => Ok(call),
            }
        })
        .and_then(|call| {
            let Some(max) = body_max(&call.purpose) else {
                return if waits(&call.purpose) { Ok(false) } else { self.ask(call, Vec::new(), caller) };
            };
            match body {
                Some(body) if body.len() as u64 > max => Err(body::too_large(max)),
                Some(body) => self.ask(call, body, caller),
                None => Ok(false),
            }
        });
        asked.unwrap_or_else(|refused| {
            caller.answer(&refused);
            true
        })
    }

    /// Who works the desk off. To be called before anything else.
    pub fn employ(&self, clerk: Clerk) {
        self.clerk.replace(Some(clerk));
    }

    /// The clerk's next step, after what the last one waited for.
    pub fn step(&self) -> Wait {
        self.desk().step()
    }

    /// A binary message on a socket.
    pub fn message(&self, socket: web_sys::WebSocket, message: Vec<u8>) {
        self.desk().message(&Socket::of(&socket.into()), WebSocketIncomingMessage::Binary(message));
    }
}

/// The longest body of an operation, in bytes; `None` for those that have none.
fn body_max(purpose: &Purpose) -> Option<u64> {
    let Purpose::Operation(operation) = purpose else { return None };
    match operation {
        Operation::Put { .. } => Some(limits::PAYLOAD_BYTES_CEILING),
        Operation::Batch { .. } => Some(limits::BATCH_BYTES_MAX as u64),
        Operation::Reject { .. } | Operation::Configure => Some(FORM_BYTES_MAX),
        _ => None,
    }
}

/// Whether a request stays open and somebody must look whether its client does.
fn waits(purpose: &Purpose) -> bool {
    let Purpose::Operation(operation) = purpose else { return true };
    match operation {
        Operation::Get { get, .. } => get.wait_ms > 0,
        // Other objects are asked.
        Operation::Status { .. } | Operation::Cancel { .. } => true,
        _ => false,
    }
}

impl QueueObject {
    fn desk(&self) -> &Rc<Desk> {
        self.desk.get_or_init(|| {
            let clerk = self.clerk.take().expect("entry.mjs employs one as it makes the object");
            Desk::new(&self.state, &self.env, clerk)
        })
    }

    /// Asks the queue what a call is about.
    fn ask(&self, call: Call, body: Vec<u8>, caller: &Caller) -> std::result::Result<bool, Answer> {
        let Call { side, consumer, purpose: Purpose::Operation(operation), address } = call else {
            unreachable!("a watch waits, and is served elsewhere")
        };
        let owed = Owed::Caller(caller.clone(), operation.form(&address, side));
        self.errand(side, consumer, operation, body.into(), owed)?;
        Ok(true)
    }

    /// A call becomes an event.
    fn errand(
        &self,
        side: Side,
        consumer: ConsumerId,
        operation: Operation,
        body: Bytes,
        owed: Owed,
    ) -> std::result::Result<(), Answer> {
        let desk = self.desk();
        let put = |entries: Vec<NewEntry>| {
            desk.inference.check_entries(&entries).map_err(Answer::bad)?;
            match desk.has_room(entries.iter().map(|entry| entry.data.len()).sum()) {
                true => Ok(entries),
                false => Err(too_fast()),
            }
        };
        let event: Box<dyn FnOnce(Ticket) -> Event> = match operation {
            Operation::Put { lane, tags, once } => {
                let entries = put(vec![NewEntry {
                    lane,
                    tags,
                    data: body,
                    random: random()?,
                    once: once.then_some(Once::RequestId),
                }])?;
                Box::new(|ticket| Event::Put(ticket, entries))
            }
            Operation::Batch { batch, .. } => {
                let entries = put(batch.read(body, random()?)?)?;
                Box::new(|ticket| Event::Put(ticket, entries))
            }
            Operation::Get { get, .. } => Box::new(|ticket| Event::Get(ticket, get)),
            Operation::Attributes { .. } | Operation::Settings => Box::new(Event::Stats),
            Operation::Count { lane, filter } => Box::new(move |ticket| Event::Count(ticket, lane, filter)),
            Operation::Status { request_id } => Box::new(|ticket| Event::Find(ticket, request_id)),
            Operation::Cancel { request_id } => Box::new(|ticket| Event::Cancel(ticket, request_id)),
            Operation::Search { index } => Box::new(move |ticket| Event::Search(ticket, consumer, index)),
            Operation::Commit { indexes } => Box::new(|ticket| Event::Commit(ticket, consumer, indexes)),
            Operation::Reject { indexes, delay_ms } => {
                let rejection = rejection::parse(&body, delay_ms)?;
                Box::new(|ticket| Event::Reject(ticket, consumer, indexes, rejection))
            }
            Operation::Remove { indexes } => Box::new(|ticket| Event::Remove(ticket, indexes)),
            Operation::Truncate { below } => Box::new(move |ticket| Event::Truncate(ticket, below)),
            Operation::End { force } => Box::new(move |ticket| Event::End(ticket, force)),
            Operation::Configure => {
                desk.configure(owed, Patch::parse(&body)?);
                return Ok(());
            }
        };
        desk.ask(side, owed, event);
        Ok(())
    }

    /// One request from its bytes to its response, where that takes waiting in between.
    async fn serve(&self, request: &mut Request) -> std::result::Result<Response, Answer> {
        let call = parse(request.inner())?;
        let desk = self.desk();
        let Call { side, consumer, purpose, address } = call;
        let operation = match purpose {
            Purpose::Operation(operation) => operation,
            Purpose::Watch { watch, transport } => {
                let gone = (transport == Transport::Stream).then(|| Departure::of(request));
                let terms = Terms { side, sink: address.sink, watch };
                return match desk.watch(terms, transport, gone).await {
                    Ok(Outcome::Watching(response)) => Ok(response),
                    outcome => Err(answer(&Form::Done, reply(outcome)?)),
                };
            }
        };
        let form = operation.form(&address, side);
        match operation {
            Operation::Get { get, .. } if get.wait_ms > 0 => {
                let reply = self.wait(side, get, Departure::of(request)).await?;
                respond(answer(&form, reply)).map_err(failed)
            }
            Operation::Status { request_id } if side == Side::Main && is_input(&address) => {
                let progress = self.progress(&request_id, &address.service).await?;
                respond(progress.answer(&request_id)).map_err(failed)
            }
            Operation::Cancel { request_id } if side == Side::Main && is_input(&address) => {
                respond(self.cancel(&request_id).await?).map_err(failed)
            }
            operation => {
                let purpose = Purpose::Operation(operation);
                let body = match body_max(&purpose) {
                    Some(max) => body::read(request, max).await?,
                    None => Vec::new(),
                };
                let Purpose::Operation(operation) = purpose else { unreachable!("it was made here") };
                let (asked, outcome) = oneshot::channel();
                self.errand(side, consumer, operation, body.into(), Owed::Request(asked))?;
                respond(answer(&form, reply(outcome.await)?)).map_err(failed)
            }
        }
    }

    /// One question to the queue here.
    async fn ask_here(&self, side: Side, event: impl FnOnce(Ticket) -> Event) -> std::result::Result<Reply, Answer> {
        let (asked, outcome) = oneshot::channel();
        self.desk().ask(side, Owed::Request(asked), event);
        reply(outcome.await)
    }

    /// What became of a request: it is looked for along its way, so that it cannot be missed by moving on meanwhile.
    async fn progress(&self, request_id: &str, service: &str) -> std::result::Result<Progress, Answer> {
        let find = |side| self.ask_here(side, |ticket| Event::Find(ticket, request_id.into()));
        if let Reply::Found(Some(found)) = find(Side::Main).await? {
            return Ok(Progress::of_input(found, service));
        }
        let rear = match find(Side::Rear).await? {
            Reply::Found(Some(found)) => Progress::of_rear(&found),
            _ => Progress::Unknown,
        };
        Ok(match (self.desk().inference.progress_in_sink(request_id).await.map_err(failed)?, rear) {
            (Progress::Unknown, rear) => rear,
            (Progress::Failed { code, reason, sink_index, .. }, Progress::Failed { rear_index, .. }) => {
                Progress::Failed { code, reason, sink_index, rear_index }
            }
            (sink, _) => sink,
        })
    }

    /// Takes a request out of the queue. What is in the sink or on its way there has ended.
    async fn cancel(&self, request_id: &str) -> std::result::Result<Answer, Answer> {
        let removed = self.ask_here(Side::Main, |ticket| Event::Cancel(ticket, request_id.into())).await?;
        let Reply::Cancelled(Some(index)) = removed else {
            return Ok(self.progress(request_id, "").await?.cannot_cancel(request_id));
        };
        // Its result may have been stored before the queue lost its memory.
        match self.desk().inference.progress_in_sink(request_id).await.map_err(failed)? {
            Progress::Unknown => Ok(progress::cancelled(request_id, index)),
            ended => Ok(ended.cannot_cancel(request_id)),
        }
    }

    /// A get that waits. If its client goes away, nothing is removed for it.
    async fn wait(&self, side: Side, get: Get, gone: Departure) -> std::result::Result<Reply, Answer> {
        let (asked, outcome) = oneshot::channel();
        let ticket = self.desk().ask(side, Owed::Request(asked), |ticket| Event::Get(ticket, get));
        match select(outcome, gone).await {
            Either::Left((outcome, _)) => reply(outcome),
            Either::Right(_) => {
                self.desk().abandon(side, ticket);
                Ok(Reply::Entries(Vec::new()))
            }
        }
    }
}

/// Whether this is the queue that requests come in by.
fn is_input(address: &Address) -> bool {
    !address.sink && !address.is_callbacks()
}

fn parse(request: &web_sys::Request) -> std::result::Result<Call, Answer> {
    head::of(request, |head| {
        let header = |name: &str| (head.header)(name).or_else(|| header_carried(head, name));
        parse_request(&RequestParts { header: &header, ..*head }, now_ms())
    })
}

fn reply(outcome: std::result::Result<Outcome, oneshot::Canceled>) -> std::result::Result<Reply, Answer> {
    match outcome {
        Ok(Outcome::Reply(reply)) => Ok(reply),
        Ok(Outcome::Failed(error)) => Err(failed(error)),
        Ok(Outcome::Watching(_)) => Err(failed("a watch was answered to a request that is none")),
        Err(oneshot::Canceled) => Err(failed("the queue was closed before it could answer")),
    }
}
