//! One entry as a client sends it, whatever the format.

use super::answer::Answer;
use crate::queue::entry::{Index, Tags};
use crate::queue::event::Dedup;
use crate::queue::limits::BATCH_ENTRIES_MAX;
use alloc::format;
use bytes::Bytes;

/// An entry to put: a frame without index and message, but with a priority.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutEntry {
    /// Its tags, without those of the service.
    pub tags: Tags,
    /// Its body.
    pub data: Bytes,
    /// Its priority; that of the put when missing.
    pub priority: Option<i64>,
    /// Whether it is stored only if it was not before; as the put says when missing.
    pub once: Option<Dedup>,
}

/// The fields by which an entry asks to be stored once.
#[derive(Default)]
pub(super) struct OnceFields {
    pub request_id: bool,
    pub source: Option<u64>,
    pub settled_below: Option<u64>,
}

impl OnceFields {
    /// What the fields ask for together.
    pub fn read(self) -> Result<Option<Dedup>, Answer> {
        match self {
            Self { source: None, settled_below: Some(_), .. } => {
                Err(Answer::bad("an entry has settledBelow without source; give both or neither"))
            }
            // The queue would take every later outcome below it for a repetition, for ever.
            Self { source: Some(index), settled_below: Some(below), .. } if below > index => {
                Err(Answer::bad("an entry has a settledBelow above its own source; nothing below it will be put again"))
            }
            Self { source: Some(index), settled_below, .. } => {
                Ok(Some(Dedup::Source { index: Index(index), settled_below: Index(settled_below.unwrap_or(0)) }))
            }
            Self { request_id: true, .. } => Ok(Some(Dedup::RequestId)),
            Self { .. } => Ok(None),
        }
    }
}

/// 413: there are more entries than fit into one batch.
pub fn too_many() -> Answer {
    Answer::text(413, format!("there are more than {BATCH_ENTRIES_MAX} entries in one batch; send several batches"))
}
