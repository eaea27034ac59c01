//! Settings of a queue: one table for the run-time call, the deployment's variables and what is shown.

use super::knob::{Checked, Choice, Kibibytes, Knob, Number, Shown, Switch, Time, knob};
use crate::queue::config::{DeadPolicy, PathPolicy, Settings};
use crate::queue::limits;
use crate::wire::answer::Answer;
use crate::wire::json::go;
use crate::wire::predictor::{self, Predictor};
use crate::wire::url::Url;
use crate::wire::{scalar, urlencoded};
use alloc::{
    collections::BTreeSet,
    format,
    string::{String, ToString},
    vec::Vec,
};

/// Most entries a queue may be told to hold; the bound in bytes comes long before.
const LENGTH_MAX: u64 = 1 << 53;
/// Longest time that can be set: 10 years.
const TIME_MS_MAX: u64 = 3_650 * 24 * 3_600_000;
/// Shortest time that can be set, because each one that runs out wakes the queue.
const TIME_MS_MIN: u64 = 100;

const _: () = assert!(limits::PAYLOAD_BYTES_CEILING >= 1024, "bodies of 1 KiB can be allowed");
const _: () = assert!(limits::QUEUE_LENGTH_DEFAULT <= LENGTH_MAX, "the default length can be set");
const _: () = assert!(limits::SILENCE_MS_DEFAULT >= TIME_MS_MIN, "the default silence can be set");
const _: () = assert!(limits::RETRY_DELAY_MS_MAX <= TIME_MS_MAX && limits::PREDICTOR_TIMEOUT_MS_MAX <= TIME_MS_MAX);

/// A time that may be 0, which switches something off.
const TIME_OR_OFF: Time = Time { or_off: true, min: TIME_MS_MIN, max: TIME_MS_MAX };

/// Every setting that a client or a deployment can name. [`Settings::standard`] has the defaults.
const KNOBS: &[Knob] = &[
    knob!("max_delivery", max_delivery, Number { min: 0, max: u32::MAX as u64 }),
    knob!(
        "dead_message_policy",
        dead_message_policy,
        Choice(&[("Rear", DeadPolicy::Rear as i32), ("Drop", DeadPolicy::Drop as i32)])
    ),
    knob!("auto_evict", auto_evict, Switch),
    knob!("max_payload_size_kb", max_payload_bytes, Kibibytes { max_bytes: limits::PAYLOAD_BYTES_CEILING }),
    knob!("max_length", max_length, Number { min: 1, max: LENGTH_MAX }),
    knob!("max_idle", max_idle_ms, TIME_OR_OFF),
    knob!("retention", retention_ms, TIME_OR_OFF),
    knob!("max_silence", max_silence_ms, TIME_OR_OFF),
    knob!("predictor", predictor, Checked(|text| Predictor::parse(text).map(drop))),
    knob!(
        "predictor_path",
        predictor_path,
        Choice(&[("append", PathPolicy::Append as i32), ("fixed", PathPolicy::Fixed as i32)])
    ),
    knob!("predictor_headers", predictor_headers, Checked(secret_name)),
    knob!(
        "predictor_timeout",
        predictor_timeout_ms,
        Time { or_off: false, min: TIME_MS_MIN, max: limits::PREDICTOR_TIMEOUT_MS_MAX }
    ),
    knob!("worker_threads", worker_threads, Number { min: 1, max: limits::WORKER_THREADS_MAX as u64 }),
    knob!("retry_delay", retry_delay_ms, Time { or_off: true, min: TIME_MS_MIN, max: limits::RETRY_DELAY_MS_MAX }),
    knob!("callback", callback, Checked(|text| Url::parse(text).map(drop))),
];

/// The names of all settings.
pub fn keys() -> impl Iterator<Item = &'static str> {
    KNOBS.iter().map(|knob| knob.name)
}

/// What there is to set, for messages.
fn all_keys() -> String {
    keys().collect::<Vec<_>>().join(", ")
}

fn secret_name(text: &str) -> Result<(), String> {
    if predictor::is_identifier(text) {
        return Ok(());
    }
    Err(format!("must be the name of a secret (letters, digits and _), never its value, not {}", scalar::shown(text)))
}

/// A checked change of settings: what is not named stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    /// The settings that change.
    named: BTreeSet<&'static str>,
    /// Their new values; of the others it says nothing.
    values: Settings,
}

impl Patch {
    /// Reads the body of a settings call: a JSON object or a form, told apart by the first character.
    pub fn parse(body: &[u8]) -> Result<Self, Answer> {
        let text = core::str::from_utf8(body)
            .map_err(|_| Answer::bad("the settings are not UTF-8; send a JSON object or a form"))?
            .trim();
        let pairs = if text.starts_with('{') { json_pairs(text) } else { urlencoded::pairs(text) };
        let pairs = pairs.map_err(Answer::bad)?;
        if pairs.is_empty() {
            return Err(Answer::bad(format!("the body names no setting; there are {}", all_keys())));
        }
        let mut patch = Self::default();
        for (key, text) in pairs {
            let knob = KNOBS.iter().find(|knob| knob.name == key).ok_or_else(|| {
                Answer::bad(format!("{} is not a setting; there are {}", scalar::shown(&key), all_keys()))
            })?;
            patch.set(knob, &text).map_err(Answer::bad)?;
        }
        Ok(patch)
    }

    /// The settings after the change.
    pub fn apply(&self, settings: &Settings) -> Settings {
        let mut settings = settings.clone();
        for knob in KNOBS.iter().filter(|knob| self.named.contains(knob.name)) {
            (knob.copy)(&self.values, &mut settings);
        }
        settings
    }

    /// Reads and adds one setting. The error is a sentence.
    fn set(&mut self, knob: &Knob, text: &str) -> Result<(), String> {
        (knob.read)(&mut self.values, text).map_err(|wrong| format!("{} {wrong}", knob.name))?;
        self.named.insert(knob.name);
        Ok(())
    }
}

/// The members of a JSON object as text: numbers and booleans may be written with or without quotes.
fn json_pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|wrong| format!("the settings are not a JSON object: {wrong}"))?;
    let pairs = object.into_iter().map(|(key, value)| match value {
        serde_json::Value::String(text) => Ok((key, text)),
        serde_json::Value::Number(number) => Ok((key, number.to_string())),
        serde_json::Value::Bool(yes) => Ok((key, yes.to_string())),
        _ => Err(format!("{} must be a number, a boolean or a string", scalar::shown(&key))),
    });
    pairs.collect()
}

/// Every setting as text, in the order of the table.
pub fn shown(settings: &Settings) -> impl Iterator<Item = (&'static str, String)> {
    KNOBS.iter().map(|knob| (knob.name, (knob.shown)(settings).into_text()))
}

/// The settings as a JSON object that a settings call would take, with a line feed at its end.
pub fn to_json(settings: &Settings) -> String {
    let mut out = String::from("{");
    for (position, knob) in KNOBS.iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        go::string(&mut out, knob.name);
        out.push(':');
        match (knob.shown)(settings) {
            Shown::Bare(value) => out.push_str(&value),
            Shown::Quoted(value) => go::string(&mut out, &value),
        }
    }
    out.push_str("}\n");
    out
}

/// Settings of a queue that nobody configured, from the deployment's variables: `EDGEQUEUE_MAX_DELIVERY` and so on for
/// all queues, and `EDGEQUEUE_SOURCE_...` or `EDGEQUEUE_SINK_...` for one kind, which win. Empty variables count as
/// missing. The error is a sentence for the operator.
pub fn defaults(sink: bool, variable: &dyn Fn(&str) -> Option<String>) -> Result<Settings, String> {
    let kind = if sink { "EDGEQUEUE_SINK_" } else { "EDGEQUEUE_SOURCE_" };
    let mut patch = Patch::default();
    for prefix in ["EDGEQUEUE_", kind] {
        for knob in KNOBS {
            let name = format!("{prefix}{}", knob.name.to_ascii_uppercase());
            if let Some(text) = variable(&name).filter(|text| !text.trim().is_empty()) {
                patch.set(knob, text.trim()).map_err(|wrong| format!("the variable {name} is wrong: {wrong}"))?;
            }
        }
    }
    Ok(patch.apply(&Settings::standard()))
}
