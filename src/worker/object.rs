//! The Durable Object of one queue: a doorway. Requests become events, replies become responses.

use std::rc::Rc;

use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use worker::{
    DurableObject, Env, Error, Request, Response, Result, State, WebSocket, WebSocketIncomingMessage, durable_object,
};

use super::{
    body,
    departure::Departure,
    desk::{Desk, Outcome, now_ms, random},
    respond::respond,
    session::{Terms, too_fast},
    sockets::Socket,
};
use crate::queue::{
    Event, Reply,
    event::{Get, NewEntry, Ticket},
    limits,
    store::Side,
};
use crate::wire::{Answer, Call, Head, Operation, Transport, address, answer, rejection, request, settings::Patch};

/// Largest form or settings body, in bytes.
const FORM_BYTES_MAX: u64 = 64 * 1024;

/// A ticket and what will come of it.
type Asked = (Ticket, oneshot::Receiver<Outcome>);

#[durable_object]
pub struct QueueObject {
    state: State,
    env: Env,
    desk: std::cell::OnceCell<Rc<Desk>>,
}

impl DurableObject for QueueObject {
    fn new(state: State, env: Env) -> Self {
        Self { state, env, desk: std::cell::OnceCell::new() }
    }

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

impl QueueObject {
    fn desk(&self) -> &Rc<Desk> {
        self.desk.get_or_init(|| Desk::new(&self.state, &self.env))
    }

    /// One request from its bytes to its response.
    async fn serve(&self, request: &mut Request) -> std::result::Result<Response, Answer> {
        let call = parse(request)?;
        if let Some(report) = self.desk().faults().ask(request).map_err(Answer::bad)? {
            return respond(Answer::text(200, report)).map_err(failed);
        }
        let form = call.form();
        let Call { side, consumer, operation, address } = call;
        let desk = self.desk();
        let asked = match operation {
            Operation::Put { lane, tags } => {
                let data = Bytes::from(body::read(request, limits::PAYLOAD_BYTES_CEILING).await?);
                self.put(side, vec![NewEntry { lane, tags, data, random: random()? }])?
            }
            Operation::Batch { batch, .. } => {
                let body = body::read(request, limits::BATCH_BYTES_MAX as u64).await?;
                self.put(side, batch.read(body.into(), random()?)?)?
            }
            Operation::Get { get, .. } if get.wait_ms > 0 => {
                let reply = self.wait(side, get, Departure::of(request)).await?;
                return respond(answer(&form, reply)).map_err(failed);
            }
            Operation::Get { get, .. } => desk.ask(side, |ticket| Event::Get(ticket, get)),
            Operation::Attributes { .. } | Operation::Settings => desk.ask(side, Event::Stats),
            Operation::Count { lane, filter } => desk.ask(side, |ticket| Event::Count(ticket, lane, filter)),
            Operation::Search { index } => desk.ask(side, |ticket| Event::Search(ticket, consumer, index)),
            Operation::Watch { watch, transport } => {
                let gone = (transport == Transport::Stream).then(|| Departure::of(request));
                let terms = Terms { side, sink: address.sink, watch };
                return match desk.watch(terms, transport, gone).await {
                    Ok(Outcome::Watching(response)) => Ok(response),
                    outcome => Err(answer(&form, reply(outcome)?)),
                };
            }
            Operation::Commit { indexes } => desk.ask(side, |ticket| Event::Commit(ticket, consumer, indexes)),
            Operation::Reject { indexes } => {
                let rejection = rejection::parse(&body::read(request, FORM_BYTES_MAX).await?)?;
                desk.ask(side, |ticket| Event::Reject(ticket, consumer, indexes, rejection))
            }
            Operation::Remove { indexes } => desk.ask(side, |ticket| Event::Remove(ticket, indexes)),
            Operation::Truncate { below } => desk.ask(side, |ticket| Event::Truncate(ticket, below)),
            Operation::End { force } => desk.ask(side, |ticket| Event::End(ticket, force)),
            Operation::Configure => {
                let patch = Patch::parse(&body::read(request, FORM_BYTES_MAX).await?)?;
                return respond(answer(&form, reply(desk.configure(patch).await)?)).map_err(failed);
            }
        };
        respond(answer(&form, reply(asked.1.await)?)).map_err(failed)
    }

    fn put(&self, side: Side, entries: Vec<NewEntry>) -> std::result::Result<Asked, Answer> {
        if !self.desk().has_room(entries.iter().map(|entry| entry.data.len()).sum()) {
            return Err(too_fast());
        }
        Ok(self.desk().ask(side, |ticket| Event::Put(ticket, entries)))
    }

    /// A get that waits. If its client goes away, nothing is removed for it.
    async fn wait(&self, side: Side, get: Get, gone: Departure) -> std::result::Result<Reply, Answer> {
        let (ticket, outcome) = self.desk().ask(side, |ticket| Event::Get(ticket, get));
        match select(outcome, gone).await {
            Either::Left((outcome, _)) => reply(outcome),
            Either::Right(_) => {
                self.desk().abandon(side, ticket);
                Ok(Reply::Entries(Vec::new()))
            }
        }
    }
}

fn parse(request: &Request) -> std::result::Result<Call, Answer> {
    let request = request.inner();
    let (url, method, headers) = (request.url(), request.method(), request.headers());
    let (path, query) = address::path_and_query(&url);
    let header = |name: &str| headers.get(name).ok().flatten();
    request::parse(&Head { method: &method, path, query, header: &header }, now_ms())
}

fn reply(outcome: std::result::Result<Outcome, oneshot::Canceled>) -> std::result::Result<Reply, Answer> {
    match outcome {
        Ok(Outcome::Reply(reply)) => Ok(reply),
        Ok(Outcome::Failed(error)) => Err(failed(error)),
        Ok(Outcome::Watching(_)) => Err(failed("a watch was answered to a request that is none")),
        Err(oneshot::Canceled) => Err(failed("the queue was closed before it could answer")),
    }
}

/// 503: our side failed; nothing of the request was kept.
fn failed(error: impl std::fmt::Display) -> Answer {
    let mut answer = Answer::text(503, format!("the request failed and nothing of it was kept: {error}; try again"));
    answer.headers.push(("Retry-After", "1".into()));
    answer
}
