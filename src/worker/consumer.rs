//! The consumer inside an object: its queue pushes to it as to any watcher, and what the runner decides is carried out
//! here: calls, puts into other objects, commits, timers.
//!
//! Nothing of it is stored. When the memory is lost, opening the queue attaches the consumer again, and what it held is
//! pushed again; an alarm that is set while something is under way sees to it that somebody opens the queue.

use std::{rc::Rc, time::Duration};

use futures_channel::oneshot;
use futures_util::future::{Either, select};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use worker::Delay;

use super::{
    desk::{Desk, Owed, now_ms},
    inference::{Inference, Plan},
    outside::{Outgoing, thrown},
};
pub use crate::inference::Event;
use crate::inference::{
    Action, Runner, consumer,
    event::{CallId, Destination, Place, PutOutcome, Storing, Work},
    outbox::PutId,
    outcome::{Answer, Trouble},
};
use crate::queue::{
    self,
    config::Settings,
    entry::{Frame, Index},
    event::{ConsumerId, Once, Rejection, Ticket, Watch, WatcherId},
    step::Delivery,
    store::Side,
};
use crate::wire::{
    Progress, PutEntry,
    http::address,
    names::{PROTOBUF, REPEATED},
    proto::frame,
};

/// Bytes read of the answer to a put.
const RECEIPTS_BYTES_MAX: usize = 1024 * 1024;

/// What there is while the queue is in memory.
#[derive(Default)]
pub(super) struct State {
    pub runner: Option<Runner>,
    pub watcher: Option<WatcherId>,
    /// What the runner works by.
    pub settings: Settings,
    calls: Vec<(CallId, Outgoing)>,
    /// The next deadline, and what ends its timer when it is dropped.
    timer: Option<(u64, oneshot::Sender<()>)>,
}

impl State {
    fn outgoing(&self, call: CallId) -> Option<Outgoing> {
        self.calls.iter().find(|(id, _)| *id == call).map(|(_, outgoing)| outgoing.clone())
    }

    fn forget(&mut self, call: CallId) -> Option<Outgoing> {
        let at = self.calls.iter().position(|(id, _)| *id == call)?;
        Some(self.calls.swap_remove(at).1)
    }

    fn abort(&mut self, call: CallId) {
        if let Some(outgoing) = self.forget(call) {
            outgoing.abort();
        }
    }
}

/// What the queue gave out, as the runner wants it.
pub fn work(delivery: &Delivery) -> Event {
    let entry = &delivery.entry;
    Event::Pushed(Work { index: entry.index, attempt: delivery.attempt, tags: entry.tags(), data: entry.data() })
}

impl Desk {
    /// Something happened that the runner wants to know.
    pub(super) fn infer(self: &Rc<Self>, event: Event) {
        let mut actions = Vec::new();
        if let Some(runner) = &mut self.inference.state.borrow_mut().runner {
            runner.handle(now_ms(), event, &mut actions);
        }
        self.act(actions);
        self.set_deadline();
    }

    /// The queue was lost from memory, or gave somebody else our place.
    pub(super) fn infer_nothing(self: &Rc<Self>) {
        let mut actions = Vec::new();
        {
            let state = &mut *self.inference.state.borrow_mut();
            state.watcher = None;
            if let Some(runner) = &mut state.runner {
                runner.reset(&mut actions);
            }
        }
        self.act(actions);
        self.set_deadline();
    }

    /// Turns were carried out: what follows from it. What is said outside leaves when all of it is durable.
    pub(super) fn tend_inference(self: &Rc<Self>) {
        let (attached, wanted) = {
            let papers = &mut *self.papers.borrow_mut();
            let Some((queue, store)) = papers.queue.as_mut() else { return };
            let state = &mut *self.inference.state.borrow_mut();
            if let Some(runner) = state.runner.as_mut().filter(|runner| runner.has_work()) {
                runner.settled(queue.settled_below(Side::Main, &self.inference.service, store));
            }
            // This comes after every flush: nothing is copied or asked for where nothing changed.
            let same = state.watcher.is_some() && state.settings == *queue.settings();
            let wanted = self.inference.wants(queue.settings());
            if same || state.watcher.is_none() && !wanted {
                return;
            }
            (state.watcher, wanted.then(|| queue.settings().clone()))
        };
        match (wanted, attached) {
            (Some(settings), attached) => {
                let id = attached.unwrap_or_else(|| self.papers.borrow_mut().new_watcher());
                self.attach(id, self.inference.watch(id, &settings));
            }
            (None, Some(id)) => self.leave(id),
            (None, None) => {}
        }
    }

    fn attach(self: &Rc<Self>, id: WatcherId, watch: Watch) {
        let ticket = self.ticket(Owed::Consumer);
        self.tell(Side::Main, queue::Event::Attach(ticket, id, watch));
    }

    /// There is no predictor any more: what is out here goes back.
    fn leave(self: &Rc<Self>, id: WatcherId) {
        self.infer_nothing();
        self.inference.state.borrow_mut().runner = None;
        self.tell(Side::Main, queue::Event::Detach(id));
    }

    fn act(self: &Rc<Self>, actions: Vec<Action>) {
        let mut done = Vec::new();
        for action in actions {
            match action {
                Action::Call(call, work) => self.call(call, work),
                Action::Read(call, max) => self.read(call, max),
                Action::Abort(call) => self.inference.state.borrow_mut().abort(call),
                Action::Put { put, to, letters, settled_below } => {
                    let once = |index| Some(Once::Source { index, settled_below });
                    let entries = letters.into_iter().map(|(index, letter)| {
                        let entry =
                            PutEntry { tags: letter.tags, data: letter.data, priority: None, once: once(index) };
                        entry.encode().into()
                    });
                    let body = frame::list(&entries.collect::<Vec<_>>());
                    self.put(put, to, body);
                }
                Action::Commit(index) => done.push(index),
                Action::Reject { index, code, reason, delay_ms } => {
                    let rejection = Rejection { code, reason, delay_ms };
                    self.settle(|ticket, consumer| queue::Event::Reject(ticket, consumer, vec![index], rejection));
                }
                Action::Window(window) => {
                    let id = self.inference.state.borrow().watcher;
                    if let Some(id) = id {
                        self.attach(id, consumer::watch(&self.inference.service, window));
                    }
                }
            }
        }
        if !done.is_empty() {
            self.settle(|ticket, consumer| queue::Event::Commit(ticket, consumer, done));
        }
    }

    /// Tells the queue how requests ended. Nobody waits for the answer: what is not settled is pushed again.
    fn settle(self: &Rc<Self>, event: impl FnOnce(Ticket, ConsumerId) -> queue::Event) {
        let ticket = self.papers.borrow_mut().new_ticket();
        self.tell(Side::Main, event(ticket, consumer::consumer(&self.inference.service)));
    }

    fn call(self: &Rc<Self>, call: CallId, work: Work) {
        let outgoing = Outgoing::new();
        self.inference.state.borrow_mut().calls.push((call, outgoing.clone()));
        let desk = self.clone();
        spawn_local(async move {
            let event = match desk.inference.plan(&work) {
                Ok(plan) => match desk.inference.send(&outgoing, &plan, &work.data).await {
                    Ok(()) => Event::Begun(call, outgoing.status(), outgoing.length().map(|length| length as u64)),
                    Err(error) => Event::Failed(call, Trouble::unreachable(error)),
                },
                Err(trouble) => Event::Failed(call, trouble),
            };
            if matches!(event, Event::Failed(..)) {
                desk.inference.state.borrow_mut().forget(call);
            }
            desk.infer(event);
        });
    }

    fn read(self: &Rc<Self>, call: CallId, max: usize) {
        let Some(outgoing) = self.inference.state.borrow().outgoing(call) else { return };
        let desk = self.clone();
        spawn_local(async move {
            let event = match body(&outgoing, max).await {
                Ok(body) => {
                    let (status, content_type, cut) = (outgoing.status(), outgoing.content_type(), outgoing.cut());
                    Event::Answered(call, Answer { status, content_type, body: body.into(), cut })
                }
                Err(error) => Event::Failed(call, Trouble::unreachable(error)),
            };
            desk.inference.state.borrow_mut().forget(call);
            desk.infer(event);
        });
    }

    fn put(self: &Rc<Self>, put: PutId, to: Destination, body: Vec<u8>) {
        let desk = self.clone();
        spawn_local(async move {
            let outcome = desk.inference.put(to, &body).await.unwrap_or(PutOutcome::Later);
            desk.infer(Event::Put(put, outcome));
        });
    }

    /// A timer for the runner's next deadline; none when there is none, so that the object can sleep.
    fn set_deadline(self: &Rc<Self>) {
        let state = &mut *self.inference.state.borrow_mut();
        let due_ms = state.runner.as_ref().and_then(Runner::due_ms);
        if due_ms == state.timer.as_ref().map(|(at_ms, _)| *at_ms) {
            return;
        }
        state.timer = due_ms.map(|due_ms| {
            let (keep, dropped) = oneshot::channel();
            let desk = self.clone();
            spawn_local(async move {
                let pause = Duration::from_millis(due_ms.saturating_sub(now_ms()));
                if let Either::Left(_) = select(Delay::from(pause), dropped).await {
                    desk.inference.state.borrow_mut().timer = None;
                    desk.infer(Event::Tick);
                }
            });
            (due_ms, keep)
        });
    }
}

impl Inference {
    /// A request is about to be cancelled. One whose result is on its way into the sink must stay until that is stored:
    /// should it be lost on the way, the request is inferred again.
    pub fn give_up(&self, index: Index) -> Result<(), Storing> {
        let state = &mut *self.state.borrow_mut();
        let Some(runner) = &mut state.runner else { return Ok(()) };
        let mut actions = Vec::new();
        let outcome = runner.give_up(index, &mut actions);
        for action in actions {
            if let Action::Abort(call) = action {
                state.abort(call);
            }
        }
        outcome
    }

    async fn send(&self, outgoing: &Outgoing, plan: &Plan, body: &[u8]) -> Result<(), String> {
        let headers = plan.headers.iter().fold(String::new(), |mut lines, (name, value)| {
            lines.extend([name, ": ", value, "\n"]);
            lines
        });
        let begun = outgoing.begin(self.env.as_ref(), plan.kind, &plan.name, &plan.url, &headers, body);
        JsFuture::from(begun.map_err(thrown)?).await.map_err(thrown)?;
        Ok(())
    }

    /// Asks another object of the service.
    pub async fn ask(
        &self,
        to: Destination,
        method: &'static str,
        query: &str,
        body: &[u8],
    ) -> Result<(u16, Vec<u8>), String> {
        let name = self.queue_name(to);
        let url = format!("https://queue{}{name}?{query}", address::PREFIX);
        let headers = ["Content-Type", "Accept"].map(|name| (name.into(), PROTOBUF.into())).into();
        let outgoing = Outgoing::new();
        let kind = if method == "GET" { "ask" } else { "queue" };
        self.send(&outgoing, &Plan { kind, name, url, headers }, body).await?;
        let answer = self::body(&outgoing, RECEIPTS_BYTES_MAX).await?;
        Ok((outgoing.status(), answer))
    }

    /// What the sink knows of a request.
    pub async fn progress_in_sink(&self, request_id: &str) -> Result<Progress, String> {
        let mut query = form_urlencoded::Serializer::new(String::from("_status_=true&"));
        let query = query.append_pair("requestId", request_id).finish();
        let (_, answer) = self.ask(Destination::Sink, "GET", &query, &[]).await?;
        Progress::parse(&answer).ok_or_else(|| "the sink gave no answer".into())
    }

    async fn put(&self, to: Destination, entries: &[u8]) -> Result<PutOutcome, String> {
        let (status, answer) = self.ask(to, "POST", "_batch_=true", entries).await?;
        Ok(match status {
            200 => match frame::decode_list(&answer) {
                Ok(receipts) => PutOutcome::Stored(receipts.iter().map(place).collect()),
                Err(_) => PutOutcome::Later,
            },
            400 | 413 => PutOutcome::Refused(status, String::from_utf8_lossy(&answer).into_owned()),
            _ => PutOutcome::Later,
        })
    }
}

fn place(receipt: &Frame) -> Place {
    Place { index: Index(receipt.index), repeated: receipt.message == REPEATED }
}

async fn body(outgoing: &Outgoing, max: usize) -> Result<Vec<u8>, String> {
    let body = JsFuture::from(outgoing.read(max as f64).map_err(thrown)?).await.map_err(thrown)?;
    Ok(js_sys::Uint8Array::from(body).to_vec())
}
