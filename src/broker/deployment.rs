//! The deployment's part in one queue: default settings, secrets, and the hosts that may be called.

use super::io::{Fetch, Target};
use crate::inference::{
    consumer,
    event::{Destination, RunnerConfig, Work},
    hosts::{self, Hosts},
    outcome::CallFailure,
    request,
    webhook::{self, Keys, TAG_WEBHOOK},
};
use crate::queue::{
    config::{PathPolicy, Settings},
    event::NewEntry,
};
use crate::wire::{
    http::{address, settings},
    names::TAG_CALLBACK,
    predictor::Predictor,
};
use alloc::{borrow::ToOwned, boxed::Box, format, string::String, string::ToString};
use core::fmt;

/// Variable that, set to `allow`, lets callbacks and run-time predictors name this machine: for development.
const LOOPBACK: &str = "EDGEQUEUE_ALLOW_LOOPBACK";
/// Variable with the settings of single queues: an object of objects, as JSON.
const SERVICES: &str = "EDGEQUEUE_SERVICES";
/// Status for a call that the deployment is not set up to make.
const NOT_SET_UP: u16 = 503;

/// Variables and secrets of a deployment by name. An object is given as its JSON.
pub type Environment = Box<dyn Fn(&str) -> Option<String>>;

/// The role of a queue in its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Requests of a service.
    Input,
    /// Its results.
    Sink,
    /// Its webhooks. Only the service itself puts them there, as they are signed.
    Callbacks,
}

/// The deployment, as one queue sees it.
pub struct Deployment {
    /// The role of the queue.
    pub kind: Kind,
    /// Name of the service.
    pub service: String,
    /// Settings of the queue while it has none of its own. They are trusted.
    pub defaults: Settings,
    environment: Environment,
    hosts: Hosts,
    keys: Result<Keys, String>,
}

impl fmt::Debug for Deployment {
    // The environment holds secrets.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Deployment").field("kind", &self.kind).field("service", &self.service).finish_non_exhaustive()
    }
}

impl Deployment {
    /// The deployment of the queue with this name. The error is a sentence about a variable that makes no sense; then
    /// the standard settings are used.
    pub fn new(name: &str, environment: Environment) -> (Self, Result<(), String>) {
        let (service, kind) = match name.split_once('/') {
            // A queue without a name has no other queues for its results.
            None if name.is_empty() => (name, Kind::Sink),
            None => (name, Kind::Input),
            Some((service, address::CALLBACKS)) => (service, Kind::Callbacks),
            Some((service, _)) => (service, Kind::Sink),
        };
        let variable = |name: &str| environment(name);
        let (defaults, sound) = match defaults(kind, name, &variable) {
            Ok(defaults) => (defaults, Ok(())),
            Err(wrong) => (Settings::standard(), Err(format!("{wrong}; the standard settings are used"))),
        };
        let loopback = variable(LOOPBACK).is_some_and(|value| value == "allow");
        let keys = match variable(webhook::SECRET) {
            Some(secret) => Keys::parse(&secret),
            None => Err(format!("the deployment has no secret {} to sign callbacks with; set it", webhook::SECRET)),
        };
        let hosts = Hosts::parse(&variable(hosts::VARIABLE).unwrap_or_default(), loopback);
        (Self { kind, service: service.into(), defaults, hosts, keys, environment }, sound)
    }

    /// Checks settings that a client asks for. Values that are the deployment's own are trusted.
    pub fn check(&self, settings: &Settings) -> Result<(), String> {
        if settings.predictor != self.defaults.predictor {
            self.check_predictor(&settings.predictor).map_err(|wrong| format!("predictor {wrong}"))?;
        }
        if settings.callback != self.defaults.callback && !settings.callback.is_empty() {
            self.check_callback(&settings.callback).map_err(|wrong| format!("callback {wrong}"))?;
        }
        // Secrets of edgequeue itself must not be sent to anybody.
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

    /// Checks the callback of a request or of a service.
    fn check_callback(&self, url: &str) -> Result<(), String> {
        if let Err(wrong) = &self.keys {
            return Err(format!("cannot be: {wrong}"));
        }
        if url == self.defaults.callback { Ok(()) } else { self.hosts.check(url) }
    }

    /// Checks the callbacks of the entries of a put.
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

    /// Name of another queue of the service.
    pub fn queue_name(&self, to: Destination) -> String {
        let queue = match to {
            Destination::Sink => address::SINK,
            Destination::Callbacks => address::CALLBACKS,
        };
        format!("{}/{queue}", self.service)
    }

    /// Whether the queue has a consumer beside it.
    pub fn consumes(&self, settings: &Settings) -> bool {
        match self.kind {
            Kind::Input => !settings.predictor.is_empty(),
            Kind::Callbacks => true,
            Kind::Sink => false,
        }
    }

    /// How that consumer serves the queue.
    pub fn runner_config(&self, settings: &Settings) -> RunnerConfig {
        consumer::runner_config(&*self.service, settings, self.kind == Kind::Input)
    }

    /// The outbound call for a request or a webhook. The status of the request shows the reason why it cannot be made.
    pub fn call(&self, now_ms: u64, settings: &Settings, work: Work) -> Result<Fetch, CallFailure> {
        let wrong = |wrong: String| CallFailure::new(NOT_SET_UP, wrong);
        match self.kind {
            Kind::Callbacks => self.callback(now_ms, work).map_err(wrong),
            Kind::Input | Kind::Sink => self.predict(settings, work),
        }
    }

    fn predict(&self, settings: &Settings, work: Work) -> Result<Fetch, CallFailure> {
        let wrong = |wrong: String| CallFailure::new(NOT_SET_UP, wrong);
        let Settings { predictor, predictor_headers, .. } = settings;
        if *predictor != self.defaults.predictor {
            self.check_predictor(predictor).map_err(|sentence| wrong(format!("predictor {sentence}")))?;
        }
        let read = Predictor::parse(predictor).map_err(|sentence| wrong(format!("predictor {sentence}")))?;
        let mut headers = request::headers(&self.service, &work);
        if !predictor_headers.is_empty() {
            let secret = (self.environment)(predictor_headers)
                .ok_or_else(|| wrong(format!("the deployment has no secret {predictor_headers}; set it")))?;
            let more = request::secret_headers(&secret);
            headers.extend(more.map_err(|sentence| wrong(format!("the secret {predictor_headers}: {sentence}")))?);
        }
        let target = match read {
            Predictor::Url(_) => Target::Url,
            Predictor::Service(binding, _) => Target::Service(binding.into()),
            Predictor::Model(model) => Target::Model(model.into()),
        };
        let append = settings.predictor_path() == PathPolicy::Append;
        Ok(Fetch { target, method: "POST", url: request::url(read, append, &work)?, headers, body: work.data })
    }

    fn callback(&self, now_ms: u64, work: Work) -> Result<Fetch, String> {
        let tag = |key: &str| work.tags.get(key).cloned().unwrap_or_default();
        let url = tag(TAG_CALLBACK);
        self.check_callback(&url).map_err(|wrong| format!("the callback {wrong}"))?;
        let (id, sent_s) = (tag(TAG_WEBHOOK), now_ms / 1_000);
        let signature = self.keys.as_ref().map_err(Clone::clone)?.sign(&id, sent_s, &work.data);
        let headers = [
            ("Content-Type", "application/json".into()),
            ("User-Agent", "edgequeue".into()),
            ("webhook-id", id),
            ("webhook-timestamp", sent_s.to_string()),
            ("webhook-signature", signature),
        ];
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(Fetch { target: Target::Url, method: "POST", url, headers, body: work.data })
    }
}

/// The settings that the deployment gives a queue: `EDGEQUEUE_SERVICES` wins over the variables for all queues of its
/// kind. The queue of callbacks does not see the variables of input queues, and is more patient by default.
fn defaults(kind: Kind, name: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Settings, String> {
    let own = own(name, variable)?;
    let own = |key: &str| own.get(&key.to_ascii_lowercase()).and_then(text);
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

type Members = serde_json::Map<String, serde_json::Value>;

/// The settings of one queue in [`SERVICES`].
fn own(name: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Members, String> {
    let Some(json) = variable(SERVICES).filter(|json| !json.is_empty()) else { return Ok(Members::new()) };
    let wrong = |wrong: &dyn fmt::Display| format!("the variable {SERVICES} is wrong: {wrong}");
    let mut services: Members = serde_json::from_str(&json).map_err(|error| wrong(&error))?;
    match services.remove(name) {
        None | Some(serde_json::Value::Null) => Ok(Members::new()),
        Some(serde_json::Value::Object(own)) => Ok(own),
        Some(_) => Err(wrong(&format_args!("what it says of {name} is not an object of settings"))),
    }
}

/// A setting as the text it would be in a variable of its own.
fn text(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
