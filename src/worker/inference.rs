//! Inference as a deployment and a queue are set up for it: who is called for a request, with what, and what may be called
//! at all. `consumer` does it.

use std::cell::RefCell;

use worker::Env;

use super::{consumer::State, desk::now_ms, outside::service_setting};
use crate::inference::{
    Runner, consumer,
    event::{Destination, Work},
    hosts::{self, Hosts},
    notice::{self, Keys, TAG_NOTICE},
    outcome::Trouble,
    request,
};
use crate::queue::{
    config::{PathPolicy, Settings},
    event::{NewEntry, Watch, WatcherId},
};
use crate::wire::{
    http::{address, settings},
    names::TAG_CALLBACK,
    predictor::Predictor,
};

/// Variable that lets this machine be called by run-time settings and callbacks: `allow`, for development.
const LOOPBACK: &str = "EDGEQUEUE_ALLOW_LOOPBACK";
/// Status that stands for a deployment that is not set up to make a call.
const NOT_SET_UP: u16 = 503;

/// What kind of queue an object holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Input,
    Sink,
    Callbacks,
}

/// What an object needs for inference.
pub struct Inference {
    pub(super) env: Env,
    kind: Kind,
    pub(super) service: String,
    /// What the deployment says: trusted.
    defaults: Settings,
    hosts: Hosts,
    keys: Result<Keys, String>,
    pub(super) state: RefCell<State>,
}

/// What is sent.
pub(super) struct Plan {
    pub kind: &'static str,
    pub name: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
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

    /// Name of another queue of the service.
    pub fn queue_name(&self, to: Destination) -> String {
        let queue = match to {
            Destination::Sink => address::SINK,
            Destination::Callbacks => address::CALLBACKS,
        };
        format!("{}/{queue}", self.service)
    }

    /// Whether the queue is worked off here.
    pub fn wants(&self, settings: &Settings) -> bool {
        match self.kind {
            Kind::Input => !settings.predictor.is_empty(),
            Kind::Callbacks => true,
            Kind::Sink => false,
        }
    }

    /// The queue was opened or its settings changed, and it is worked off here: what to attach as.
    pub fn watch(&self, id: WatcherId, settings: &Settings) -> Watch {
        let state = &mut *self.state.borrow_mut();
        let terms = consumer::terms(&*self.service, settings, self.kind == Kind::Input);
        let runner = state.runner.get_or_insert_with(|| Runner::new(terms.clone()));
        if *runner.terms() != terms {
            runner.change(terms, &mut Vec::new());
        }
        state.settings = settings.clone();
        state.watcher = Some(id);
        consumer::watch(&self.service, runner.window())
    }

    /// What is sent for a request. The reason why nothing can be is seen by who asks for the request's status.
    pub(super) fn plan(&self, work: &Work) -> Result<Plan, Trouble> {
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
