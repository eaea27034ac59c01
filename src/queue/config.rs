//! Settings of one queue. Defaults come from the deployment, changes are stored with the queue.

use super::limits;

/// What happens to an entry that failed too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum DeadPolicy {
    /// It moves to the rear queue.
    Rear = 0,
    /// It is removed.
    Drop = 1,
}

/// Settings of one queue, shared by its rear twin (which has no maximum of deliveries and evicts nothing).
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Settings {
    /// Deliveries of one entry inside one group before it is dead; 0 = unlimited.
    #[prost(uint32, tag = "1")]
    pub max_delivery: u32,
    /// What happens to dead entries.
    #[prost(enumeration = "DeadPolicy", tag = "2")]
    pub dead_message_policy: i32,
    /// Whether a full queue removes its oldest entries for new ones instead of refusing.
    #[prost(bool, tag = "3")]
    pub auto_evict: bool,
    /// Longest body, in bytes.
    #[prost(uint64, tag = "4")]
    pub max_payload_bytes: u64,
    /// Most entries held.
    #[prost(uint64, tag = "5")]
    pub max_length: u64,
    /// Longest time a consumer may hold one entry before it is redelivered, in milliseconds; 0 = off.
    #[prost(uint64, tag = "6")]
    pub max_idle_ms: u64,
    /// Age at which an entry is removed, in milliseconds; 0 = off.
    #[prost(uint64, tag = "7")]
    pub retention_ms: u64,
    /// Time without a sign of life after which a consumer that holds entries is disconnected, in milliseconds; 0 = off.
    #[prost(uint64, tag = "8")]
    pub max_silence_ms: u64,
}

impl Settings {
    /// The settings of a queue nobody configured.
    pub fn standard() -> Self {
        Self {
            max_delivery: 5,
            dead_message_policy: DeadPolicy::Rear as i32,
            auto_evict: false,
            max_payload_bytes: limits::PAYLOAD_BYTES_DEFAULT,
            max_length: limits::QUEUE_LENGTH_DEFAULT,
            max_idle_ms: 0,
            retention_ms: 0,
            max_silence_ms: limits::SILENCE_MS_DEFAULT,
        }
    }
}
