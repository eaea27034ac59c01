//! The consumer inside an object: its queue pushes to it as to any watcher, and what the runner decides is carried out
//! here: calls, puts into other objects, commits, timers.
//!
//! Nothing of it is stored. When the memory is lost, opening the queue attaches the consumer again, and what it held is
//! pushed again; an alarm that is set while something is under way sees to it that somebody opens the queue.

use std::{cell::RefCell, rc::Rc, time::Duration};

use futures_channel::oneshot;
use futures_util::future::select;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use worker::{Delay, Env};

use super::{
    desk::{Desk, now_ms},
    outside::{Outgoing, service_setting, thrown},
};
pub use crate::inference::Event;
use crate::inference::{
    Action, Runner, Terms,
    hosts::{self, Hosts},
    notice::{self, Keys},
    outbox::PutId,
    outcome::{Answer, Trouble, UNREACHABLE},
    request,
    runner::{CallId, Destination, Place, PutOutcome, TAG_NOTICE, Work},
};
use crate::queue::{
    self,
    config::{PathPolicy, Settings},
    entry::{Filter, Frame, Index},
    event::{ConsumerId, NewEntry, Once, Rejection, Start, Ticket, Watch, WatcherId},
    step::Delivery,
    store::Side,
};
use crate::wire::{
    Progress, address,
    batch::PutEntry,
    frame,
    operation::{PROTOBUF, TAG_CALLBACK},
    predictor::Predictor,
    settings,
    status::REPEATED,
};

/// Variable that lets this machine be called by run-time settings and callbacks: `allow`, for development.
const LOOPBACK: &str = "EDGEQUEUE_ALLOW_LOOPBACK";
/// User name of this consumer; its group is called like the service.
const USER: &str = "edge";
/// While something is under way the object is woken this much later, should it have lost its memory: 30 seconds.
pub const LIFE_LINE_MS: u64 = 30_000;
/// Status that stands for a deployment that is not set up to make a call.
const NOT_SET_UP: u16 = 503;
/// Bytes read of the answer to a put.
const RECEIPTS_BYTES_MAX: usize = 1024 * 1024;

/// What kind of queue an object holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Input,
    Sink,
    Callbacks,
}

/// What an object needs for inference.
pub struct Inference {
    env: Env,
    kind: Kind,
    service: String,
    /// What the deployment says: trusted.
    defaults: Settings,
    hosts: Hosts,
    keys: Result<Keys, String>,
    state: RefCell<State>,
}

/// What there is while the queue is in memory.
#[derive(Default)]
struct State {
    runner: Option<Runner>,
    watcher: Option<WatcherId>,
    /// What the runner works by.
    settings: Settings,
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
}

/// What is sent.
struct Plan {
    kind: &'static str,
    name: String,
    url: String,
    headers: Vec<(String, String)>,
}

impl Inference {
    /// Of the object with this name. Settings of a deployment that make no sense are told in the log and not used.
    pub fn of(name: &str, env: &Env) -> Self {
        let (service, kind) = match name.split_once('/') {
            // An object that does not know what it is called cannot know where results go.
            None if name.is_empty() => (name, Kind::Sink),
            None => (name, Kind::Input),
            Some((service, address::CALLBACKS)) => (service, Kind::Callbacks),
            Some((service, _)) => (service, Kind::Sink),
        };
        let variable = |name: &str| env.var(name).ok().map(|value| value.to_string());
        let defaults = defaults(kind, name, env, &variable).unwrap_or_else(|wrong| {
            worker::console_error!("edgequeue: {wrong}; the standard settings are used");
            Settings::standard()
        });
        let loopback = variable(LOOPBACK).is_some_and(|value| value == "allow");
        let keys = match variable(notice::SECRET) {
            Some(secret) => Keys::parse(&secret),
            None => Err(format!("the deployment has no secret {} to sign callbacks with; set it", notice::SECRET)),
        };
        Self {
            env: env.clone(),
            kind,
            service: service.into(),
            defaults,
            hosts: Hosts::parse(&variable(hosts::VARIABLE).unwrap_or_default(), loopback),
            keys,
            state: RefCell::default(),
        }
    }

    /// The settings of a queue that has none of its own.
    pub fn defaults(&self) -> &Settings {
        &self.defaults
    }

    /// Checks settings that a client asks for. What the deployment itself says is trusted.
    pub fn check(&self, settings: &Settings) -> Result<(), String> {
        if settings.predictor != self.defaults.predictor {
            self.check_predictor(&settings.predictor).map_err(|wrong| format!("predictor {wrong}"))?;
        }
        if settings.callback != self.defaults.callback && !settings.callback.is_empty() {
            self.check_callback(&settings.callback).map_err(|wrong| format!("callback {wrong}"))?;
        }
        // Header lines may only come from a secret that was made for that.
        let named = &settings.predictor_headers;
        if *named != self.defaults.predictor_headers && named.starts_with("EDGEQUEUE_") {
            return Err(format!("predictor_headers names {named}, which is not meant to be sent anywhere"));
        }
        Ok(())
    }

    fn check_predictor(&self, predictor: &str) -> Result<(), String> {
        let listed = match Predictor::parse(predictor) {
            Ok(Predictor::Url(url)) => return self.hosts.check(url),
            Ok(Predictor::Service(binding, _)) => format!("service:{binding}"),
            Ok(Predictor::Model(_)) => "ai".into(),
            Err(_) => return Ok(()),
        };
        if self.hosts.names(&listed) {
            return Ok(());
        }
        let variable = hosts::VARIABLE;
        Err(format!("names {listed}, which this deployment does not allow; add {listed} to {variable}"))
    }

    /// Checks the callback of a request, or of a service.
    fn check_callback(&self, url: &str) -> Result<(), String> {
        if let Err(wrong) = &self.keys {
            return Err(format!("cannot be: {wrong}"));
        }
        if url == self.defaults.callback { Ok(()) } else { self.hosts.check(url) }
    }

    /// Checks what entries of a put say about callbacks.
    pub fn check_entries(&self, entries: &[NewEntry]) -> Result<(), String> {
        if self.kind != Kind::Input {
            return Ok(());
        }
        let callbacks = entries.iter().filter_map(|entry| entry.tags.get(TAG_CALLBACK));
        for url in callbacks.filter(|url| !url.is_empty()) {
            self.check_callback(url).map_err(|wrong| format!("the callback {wrong}"))?;
        }
        Ok(())
    }

    /// Whether this is the watcher of the consumer here.
    pub fn is_local(&self, id: WatcherId) -> bool {
        self.state.borrow().watcher == Some(id)
    }

    /// Whether something is under way.
    pub fn has_work(&self) -> bool {
        self.state.borrow().runner.as_ref().is_some_and(Runner::has_work)
    }

    /// Whether a request that was just taken away can still end without a result.
    pub fn is_storing(&self, index: Index) -> bool {
        self.state.borrow().runner.as_ref().is_some_and(|runner| runner.cancelled(index).is_err())
    }

    /// Name of another queue of the service.
    pub fn queue_name(&self, to: Destination) -> String {
        let queue = match to {
            Destination::Sink => address::SINK,
            Destination::Callbacks => address::CALLBACKS,
        };
        format!("{}/{queue}", self.service)
    }

    /// The queue was opened or its settings changed: what to attach as, if requests are to be worked off here.
    pub fn watch(&self, id: WatcherId, settings: &Settings) -> Option<Watch> {
        let wanted = match self.kind {
            Kind::Input => !settings.predictor.is_empty(),
            Kind::Callbacks => true,
            Kind::Sink => false,
        };
        if !wanted {
            return None;
        }
        let state = &mut *self.state.borrow_mut();
        let terms = self.terms(settings);
        let runner = state.runner.get_or_insert_with(|| Runner::new(terms.clone()));
        if *runner.terms() != terms {
            runner.change(terms, &mut Vec::new());
        }
        state.settings = settings.clone();
        state.watcher = Some(id);
        Some(self.watch_with(runner.window()))
    }

    fn consumer(&self) -> ConsumerId {
        ConsumerId { group: self.service.clone(), user: USER.into() }
    }

    fn watch_with(&self, window: u32) -> Watch {
        Watch {
            consumer: self.consumer(),
            start: Start::At(Index(0)),
            window,
            auto_commit: false,
            index_only: false,
            filter: Filter::default(),
            local: true,
        }
    }

    fn terms(&self, settings: &Settings) -> Terms {
        Terms {
            service: self.service.clone(),
            window: settings.worker_threads,
            timeout_ms: settings.predictor_timeout_ms,
            retry_delay_ms: settings.retry_delay_ms,
            max_delivery: settings.max_delivery,
            results: self.kind == Kind::Input,
            callback: settings.callback.clone(),
        }
    }

    /// What is sent for a request. The reason why nothing can be is seen by who asks for the request's status.
    fn plan(&self, work: &Work) -> Result<Plan, Trouble> {
        let wrong = |wrong: String| Trouble::new(NOT_SET_UP, wrong);
        if self.kind == Kind::Callbacks {
            return self.plan_callback(work).map_err(wrong);
        }
        let state = self.state.borrow();
        let Settings { predictor, predictor_headers, .. } = &state.settings;
        let append = state.settings.predictor_path() == PathPolicy::Append;
        if *predictor != self.defaults.predictor {
            self.check_predictor(predictor).map_err(|sentence| wrong(format!("predictor {sentence}")))?;
        }
        let read = Predictor::parse(predictor).map_err(|sentence| wrong(format!("predictor {sentence}")))?;
        let mut headers = request::headers(&self.service, work);
        if !predictor_headers.is_empty() {
            let secret = self.env.secret(predictor_headers).map(|secret| secret.to_string());
            let secret =
                secret.map_err(|_| wrong(format!("the deployment has no secret {predictor_headers}; set it")))?;
            let more = request::secret_headers(&secret);
            headers.extend(more.map_err(|sentence| wrong(format!("the secret {predictor_headers}: {sentence}")))?);
        }
        let (kind, name) = match read {
            Predictor::Url(_) => ("url", ""),
            Predictor::Service(binding, _) => ("service", binding),
            Predictor::Model(model) => ("model", model),
        };
        Ok(Plan { kind, name: name.into(), url: request::url(read, append, work)?, headers })
    }

    fn plan_callback(&self, work: &Work) -> Result<Plan, String> {
        let tag = |key: &str| work.tags.get(key).cloned().unwrap_or_default();
        let url = tag(TAG_CALLBACK);
        self.check_callback(&url).map_err(|wrong| format!("the callback {wrong}"))?;
        let (id, sent_s) = (tag(TAG_NOTICE), now_ms() / 1_000);
        let signature = self.keys.as_ref()?.sign(&id, sent_s, &work.data);
        let headers = [
            ("Content-Type", "application/json".into()),
            ("User-Agent", "edgequeue".into()),
            ("webhook-id", id),
            ("webhook-timestamp", sent_s.to_string()),
            ("webhook-signature", signature),
        ];
        let headers = headers.into_iter().map(|(name, value)| (name.into(), value)).collect();
        Ok(Plan { kind: "url", name: String::new(), url, headers })
    }
}

/// The settings the deployment gives a queue: `[vars.EDGEQUEUE_SERVICES.<queue>]` wins over the variables for all queues
/// of its kind. The queue of callbacks is patient and has nothing from the variables of input queues.
fn defaults(kind: Kind, name: &str, env: &Env, variable: &dyn Fn(&str) -> Option<String>) -> Result<Settings, String> {
    let own = |key: &str| service_setting(env.as_ref(), name, &key.to_ascii_lowercase());
    let patient = |key: &str| {
        let value = match key {
            "MAX_DELIVERY" => "8",
            "RETRY_DELAY" => "5s",
            "PREDICTOR_TIMEOUT" => "15s",
            "WORKER_THREADS" => "10",
            _ => return None,
        };
        Some(value.to_string())
    };
    let look = |name: &str| match (kind, name.strip_prefix("EDGEQUEUE_SOURCE_"), name.strip_prefix("EDGEQUEUE_SINK_")) {
        (Kind::Callbacks, Some(key), _) => {
            own(key).or_else(|| variable(&format!("EDGEQUEUE_CALLBACKS_{key}"))).or_else(|| patient(key))
        }
        (Kind::Callbacks, ..) => None,
        (_, Some(key), _) | (_, _, Some(key)) => own(key).or_else(|| variable(name)),
        _ => variable(name),
    };
    settings::defaults(kind == Kind::Sink, &look)
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

    /// Everything that was written is durable and carried out: what follows from it.
    pub(super) fn tend_inference(self: &Rc<Self>) {
        let (settings, settled) = {
            let papers = &mut *self.papers.borrow_mut();
            let Some((queue, store)) = papers.queue.as_mut() else { return };
            let settled = self.inference.has_work();
            let settled = settled.then(|| queue.settled_below(Side::Main, &self.inference.service, store));
            (queue.settings().clone(), settled)
        };
        let (attached, same) = {
            let state = &mut *self.inference.state.borrow_mut();
            if let (Some(runner), Some(settled)) = (&mut state.runner, settled) {
                runner.settled(settled);
            }
            (state.watcher, state.settings == settings)
        };
        match attached {
            Some(_) if same => {}
            Some(id) => match self.inference.watch(id, &settings) {
                Some(watch) => self.attach(id, watch),
                None => self.leave(id),
            },
            None => {
                let id = self.papers.borrow_mut().new_watcher();
                if let Some(watch) = self.inference.watch(id, &settings) {
                    self.attach(id, watch);
                }
            }
        }
    }

    fn attach(self: &Rc<Self>, id: WatcherId, watch: Watch) {
        let ticket = self.papers.borrow_mut().new_ticket();
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
                Action::Abort(call) => {
                    let outgoing = self.inference.state.borrow_mut().forget(call);
                    if let Some(outgoing) = outgoing {
                        outgoing.abort();
                    }
                }
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
                        self.attach(id, self.inference.watch_with(window));
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
        self.tell(Side::Main, event(ticket, self.inference.consumer()));
    }

    fn call(self: &Rc<Self>, call: CallId, work: Work) {
        let outgoing = Outgoing::new();
        self.inference.state.borrow_mut().calls.push((call, outgoing.clone()));
        let desk = self.clone();
        spawn_local(async move {
            let event = match desk.inference.plan(&work) {
                Ok(plan) => match desk.inference.send(&outgoing, &plan, &work.data).await {
                    Ok(()) => Event::Begun(call, outgoing.status(), outgoing.length().map(|length| length as u64)),
                    Err(error) => Event::Failed(call, Trouble::new(UNREACHABLE, error)),
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
                Err(error) => Event::Failed(call, Trouble::new(UNREACHABLE, error)),
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
                if let futures_util::future::Either::Left(_) = select(Delay::from(pause), dropped).await {
                    desk.inference.state.borrow_mut().timer = None;
                    desk.infer(Event::Tick);
                }
            });
            (due_ms, keep)
        });
    }
}

impl Inference {
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
