//! The runner as its queue sees it: a consumer with a group and a user.

use super::event::RunnerConfig;
use crate::queue::config::Settings;
use crate::queue::entry::{Filter, Index};
use crate::queue::event::{ConsumerId, Start, Watch};
use alloc::string::String;

/// User name of the consumer. Its group is named like the service.
const USER: &str = "edge";

/// The consumer beside the queue of a service.
pub fn consumer(service: &str) -> ConsumerId {
    ConsumerId { group: service.into(), user: USER.into() }
}

/// Its watch: all entries from the first, at most `window` of them unacked.
pub fn watch(service: &str, window: u32) -> Watch {
    Watch {
        consumer: consumer(service),
        start: Start::At(Index(0)),
        window,
        auto_commit: false,
        index_only: false,
        filter: Filter::default(),
        local: true,
    }
}

/// How the runner serves its queue, by the settings of the queue. `results` is as in [`RunnerConfig`].
pub fn runner_config(service: impl Into<String>, settings: &Settings, results: bool) -> RunnerConfig {
    RunnerConfig {
        service: service.into(),
        window: settings.worker_threads,
        timeout_ms: match settings.max_idle_ms {
            0 => settings.predictor_timeout_ms,
            // The runner enforces `max_idle` itself. If the queue took the attempt back, its outcome would be lost.
            max_idle_ms => settings.predictor_timeout_ms.min(max_idle_ms),
        },
        retry_delay_ms: settings.retry_delay_ms,
        max_delivery: settings.max_delivery,
        results,
        callback: settings.callback.clone(),
    }
}
