//! Settings of a queue: the run-time call and the deployment's defaults. One table for both.

use crate::queue::config::{DeadPolicy, PathPolicy, Settings};
use crate::queue::limits;
use crate::wire::answer::Answer;
use crate::wire::json::go;
use crate::wire::predictor::{self, Predictor};
use crate::wire::url::Url;
use crate::wire::{duration, scalar, urlencoded};
use alloc::{format, string::String, string::ToString, vec::Vec};

/// Every setting a client or a deployment can name.
pub const KEYS: [&str; 15] = [
    "max_delivery",
    "dead_message_policy",
    "auto_evict",
    "max_payload_size_kb",
    "max_length",
    "max_idle",
    "retention",
    "max_silence",
    "predictor",
    "predictor_path",
    "predictor_headers",
    "predictor_timeout",
    "worker_threads",
    "retry_delay",
    "callback",
];
/// Most entries a queue may be told to hold; the byte bound comes long before.
const LENGTH_MAX: u64 = 1 << 53;
/// Longest time that can be set: 10 years.
const TIME_MS_MAX: u64 = 3_650 * 24 * 3_600_000;
/// Shortest time that can be set, because each one that runs out wakes the queue.
const TIME_MS_MIN: u64 = 100;

/// A checked change of settings: what is not named stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch(Vec<(String, String)>);

impl Patch {
    /// Reads the body of a settings call: a JSON object or a form, told apart by the first character.
    pub fn parse(body: &[u8]) -> Result<Self, Answer> {
        let wrong = |text: String| Answer::bad(text);
        let text = core::str::from_utf8(body)
            .map_err(|_| wrong("the settings are not UTF-8; send a JSON object or a form".into()))?
            .trim();
        let pairs = if text.starts_with('{') { json_pairs(text) } else { urlencoded::pairs(text) }.map_err(wrong)?;
        if pairs.is_empty() {
            return Err(Answer::bad(format!("the body names no setting; there are {}", KEYS.join(", "))));
        }
        let mut patch = Self::default();
        for (key, value) in pairs {
            patch.add(key, value).map_err(Answer::bad)?;
        }
        Ok(patch)
    }

    /// The settings after the change.
    pub fn apply(&self, settings: &Settings) -> Settings {
        let mut settings = settings.clone();
        for (key, value) in &self.0 {
            set(&mut settings, key, value).expect("it was checked when it was added");
        }
        settings
    }

    /// Checks and adds one setting. The error is a sentence.
    fn add(&mut self, key: String, text: String) -> Result<(), String> {
        set(&mut Settings::default(), &key, &text)?;
        self.0.push((key, text));
        Ok(())
    }
}

/// Takes one setting as text. The error is a sentence.
fn set(settings: &mut Settings, key: &str, text: &str) -> Result<(), String> {
    let named = |wrong: String| format!("{key} {wrong}");
    match key {
        "max_delivery" => settings.max_delivery = number(text, 0, u32::MAX.into()).map_err(named)? as u32,
        "dead_message_policy" => settings.set_dead_message_policy(policy(text).map_err(named)?),
        "auto_evict" => settings.auto_evict = scalar::boolean(text).map_err(named)?,
        "max_payload_size_kb" => {
            settings.max_payload_bytes = number(text, 1, limits::PAYLOAD_BYTES_CEILING / 1024).map_err(named)? * 1024;
        }
        "max_length" => settings.max_length = number(text, 1, LENGTH_MAX).map_err(named)?,
        "max_idle" => settings.max_idle_ms = time_or_off_ms(text, TIME_MS_MAX).map_err(named)?,
        "retention" => settings.retention_ms = time_or_off_ms(text, TIME_MS_MAX).map_err(named)?,
        "max_silence" => settings.max_silence_ms = time_or_off_ms(text, TIME_MS_MAX).map_err(named)?,
        "predictor" => settings.predictor = checked(text, |text| Predictor::parse(text).map(|_| ())).map_err(named)?,
        "predictor_path" => settings.set_predictor_path(path_policy(text).map_err(named)?),
        "predictor_headers" => settings.predictor_headers = checked(text, secret_name).map_err(named)?,
        "predictor_timeout" => {
            settings.predictor_timeout_ms =
                time_ms(text, TIME_MS_MIN, limits::PREDICTOR_TIMEOUT_MS_MAX).map_err(named)?;
        }
        "worker_threads" => {
            settings.worker_threads = number(text, 1, limits::WORKER_THREADS_MAX.into()).map_err(named)? as u32;
        }
        "retry_delay" => settings.retry_delay_ms = time_or_off_ms(text, limits::RETRY_DELAY_MS_MAX).map_err(named)?,
        "callback" => settings.callback = checked(text, |text| Url::parse(text).map(|_| ())).map_err(named)?,
        _ => return Err(format!("{} is no setting; there are {}", scalar::shown(key), KEYS.join(", "))),
    }
    Ok(())
}

fn number(text: &str, min: u64, max: u64) -> Result<u64, String> {
    match scalar::unsigned(text) {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(format!("must be a whole number from {min} to {max}, not {}", scalar::shown(text))),
    }
}

fn policy(text: &str) -> Result<DeadPolicy, String> {
    if text.eq_ignore_ascii_case("rear") {
        Ok(DeadPolicy::Rear)
    } else if text.eq_ignore_ascii_case("drop") {
        Ok(DeadPolicy::Drop)
    } else {
        Err(format!("must be Rear or Drop, not {}", scalar::shown(text)))
    }
}

fn path_policy(text: &str) -> Result<PathPolicy, String> {
    if text.eq_ignore_ascii_case("append") {
        Ok(PathPolicy::Append)
    } else if text.eq_ignore_ascii_case("fixed") {
        Ok(PathPolicy::Fixed)
    } else {
        Err(format!("must be append or fixed, not {}", scalar::shown(text)))
    }
}

/// A text that is empty or passes a check.
fn checked(text: &str, check: impl Fn(&str) -> Result<(), String>) -> Result<String, String> {
    if !text.is_empty() {
        check(text)?;
    }
    Ok(text.into())
}

fn secret_name(text: &str) -> Result<(), String> {
    if predictor::is_identifier(text) {
        return Ok(());
    }
    Err(format!("must be the name of a secret (letters, digits and _), never its value, not {}", scalar::shown(text)))
}

fn time_ms(text: &str, min: u64, max: u64) -> Result<u64, String> {
    match duration::parse(text)? {
        ms if (min..=max).contains(&ms) => Ok(ms),
        _ => Err(format!(
            "must be from {} to {}, not {}",
            duration::print(min),
            duration::print(max),
            scalar::shown(text)
        )),
    }
}

fn time_or_off_ms(text: &str, max: u64) -> Result<u64, String> {
    // Less than a millisecond is not "off".
    let off = !text.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    match duration::parse(text)? {
        _ if off => Ok(0),
        _ => time_ms(text, TIME_MS_MIN, max).map_err(|wrong| wrong.replacen("must be", "must be 0 (off) or", 1)),
    }
}

/// The members of a JSON object as text: numbers and booleans may be written with or without quotes.
fn json_pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|wrong| format!("the settings are no JSON object: {wrong}"))?;
    let pairs = object.into_iter().map(|(key, value)| match value {
        serde_json::Value::String(text) => Ok((key, text)),
        serde_json::Value::Number(number) => Ok((key, number.to_string())),
        serde_json::Value::Bool(yes) => Ok((key, yes.to_string())),
        _ => Err(format!("{} must be a number, a boolean or a string", scalar::shown(&key))),
    });
    pairs.collect()
}

/// Every setting as text, in the order of [`KEYS`].
pub fn shown(settings: &Settings) -> [(&'static str, String); 15] {
    let policy = match settings.dead_message_policy() {
        DeadPolicy::Rear => "Rear",
        DeadPolicy::Drop => "Drop",
    };
    let path = match settings.predictor_path() {
        PathPolicy::Append => "append",
        PathPolicy::Fixed => "fixed",
    };
    [
        ("max_delivery", settings.max_delivery.to_string()),
        ("dead_message_policy", policy.into()),
        ("auto_evict", settings.auto_evict.to_string()),
        ("max_payload_size_kb", (settings.max_payload_bytes / 1024).to_string()),
        ("max_length", settings.max_length.to_string()),
        ("max_idle", duration::print(settings.max_idle_ms)),
        ("retention", duration::print(settings.retention_ms)),
        ("max_silence", duration::print(settings.max_silence_ms)),
        ("predictor", settings.predictor.clone()),
        ("predictor_path", path.into()),
        ("predictor_headers", settings.predictor_headers.clone()),
        ("predictor_timeout", duration::print(settings.predictor_timeout_ms)),
        ("worker_threads", settings.worker_threads.to_string()),
        ("retry_delay", duration::print(settings.retry_delay_ms)),
        ("callback", settings.callback.clone()),
    ]
}

/// The settings as a JSON object that a settings call would take, with a line feed at its end.
pub fn to_json(settings: &Settings) -> String {
    let mut out = String::from("{");
    for (position, (key, value)) in shown(settings).iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        go::string(&mut out, key);
        out.push(':');
        // Numbers and booleans stand bare, texts and durations in quotes.
        let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        if is_number || value == "true" || value == "false" {
            out.push_str(value);
        } else {
            go::string(&mut out, value);
        }
    }
    out.push_str("}\n");
    out
}

/// Settings of a queue nobody configured, from the deployment's variables: `EDGEQUEUE_MAX_DELIVERY` and so on for all
/// queues, `EDGEQUEUE_SOURCE_...` and `EDGEQUEUE_SINK_...` for one kind, which win. Empty variables count as missing. The
/// error is a sentence for the operator.
pub fn defaults(sink: bool, variable: &dyn Fn(&str) -> Option<String>) -> Result<Settings, String> {
    let kind = if sink { "EDGEQUEUE_SINK_" } else { "EDGEQUEUE_SOURCE_" };
    let mut patch = Patch::default();
    for prefix in ["EDGEQUEUE_", kind] {
        for key in KEYS {
            let name = format!("{prefix}{}", key.to_ascii_uppercase());
            if let Some(text) = variable(&name).filter(|text| !text.trim().is_empty()) {
                patch
                    .add(key.into(), text.trim().into())
                    .map_err(|wrong| format!("the variable {name} is wrong: {wrong}"))?;
            }
        }
    }
    Ok(patch.apply(&Settings::standard()))
}
