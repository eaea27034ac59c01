//! The consumer of a queue that lives beside it, as the queue knows it.

use super::event::RunnerConfig;
use crate::queue::config::Settings;
use crate::queue::entry::{Filter, Index};
use crate::queue::event::{ConsumerId, Start, Watch};
use alloc::string::String;

/// User name of the consumer; its group is called like the service.
const USER: &str = "edge";

/// Who works a service's queue off beside it.
pub fn consumer(service: &str) -> ConsumerId {
    ConsumerId { group: service.into(), user: USER.into() }
}

/// What it watches: everything, of which `window` entries may be out at it.
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

/// How it works, by the settings of the queue; `results` as in [`RunnerConfig`].
pub fn runner_config(service: impl Into<String>, settings: &Settings, results: bool) -> RunnerConfig {
    RunnerConfig {
        service: service.into(),
        window: settings.worker_threads,
        timeout_ms: match settings.max_idle_ms {
            0 => settings.predictor_timeout_ms,
            // The queue does not take an attempt away that lasts too long: then its outcome would be nobody's.
            max_idle_ms => settings.predictor_timeout_ms.min(max_idle_ms),
        },
        retry_delay_ms: settings.retry_delay_ms,
        max_delivery: settings.max_delivery,
        results,
        callback: settings.callback.clone(),
    }
}
