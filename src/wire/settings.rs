//! Settings of a queue: the run-time call and the deployment's defaults.
use super::status::Answer;
use crate::queue::config::Settings;
use alloc::string::String;

/// A checked change of settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {}

impl Patch {
    /// Reads the body of a settings call: a JSON object or a form.
    pub fn parse(_body: &[u8]) -> Result<Self, Answer> {
        todo!()
    }

    /// The settings after the change.
    pub fn apply(&self, _settings: &Settings) -> Settings {
        todo!()
    }
}

/// Settings of a queue nobody configured, from the deployment's variables (`EDGEQUEUE_MAX_DELIVERY`, for one kind of queue
/// `EDGEQUEUE_SOURCE_...` or `EDGEQUEUE_SINK_...`). The error is a sentence for the operator.
pub fn defaults(_sink: bool, _variable: &dyn Fn(&str) -> Option<String>) -> Result<Settings, String> {
    todo!()
}
