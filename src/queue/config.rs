//! Settings of one queue. Defaults come from the deployment, changes are stored with the queue.

use super::limits;
use alloc::string::String;

/// What happens to an entry that failed too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum DeadPolicy {
    /// It moves to the rear queue.
    Rear = 0,
    /// It is removed.
    Drop = 1,
}

/// What happens to the sub-path of a put when the predictor is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum PathPolicy {
    /// It is appended to the predictor's path.
    Append = 0,
    /// The predictor's path stays as it is.
    Fixed = 1,
}

/// Settings of one queue, shared by its rear twin (which has no maximum of deliveries and evicts nothing).
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Settings {
    /// Deliveries of one entry in one group after which it is dead; 0 = unlimited.
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
    /// Most entries the queue may hold.
    #[prost(uint64, tag = "5")]
    pub max_length: u64,
    /// Longest time a consumer may hold one entry before it is redelivered, in milliseconds; 0 = off. A local consumer
    /// limits its attempts itself.
    #[prost(uint64, tag = "6")]
    pub max_idle_ms: u64,
    /// Age at which an entry is removed, in milliseconds; 0 = off.
    #[prost(uint64, tag = "7")]
    pub retention_ms: u64,
    /// Time without a heartbeat after which a consumer that holds entries is disconnected, in milliseconds; 0 = off.
    #[prost(uint64, tag = "8")]
    pub max_silence_ms: u64,
    /// What infers the entries of the queue: a URL, `service:BINDING` or `ai:MODEL`; nothing when empty. The wire
    /// checks its form.
    #[prost(string, tag = "9")]
    pub predictor: String,
    /// Inferences that run at the same time; at least 1.
    #[prost(uint32, tag = "10", default = "5")]
    pub worker_threads: u32,
    /// Longest time of one inference, in milliseconds.
    #[prost(uint64, tag = "11", default = "60000")]
    pub predictor_timeout_ms: u64,
    /// What happens to the sub-path.
    #[prost(enumeration = "PathPolicy", tag = "12")]
    pub predictor_path: i32,
    /// Name of the secret that holds header lines for the predictor; none when empty.
    #[prost(string, tag = "13")]
    pub predictor_headers: String,
    /// Time until a failed inference is tried again, in milliseconds; doubled with each attempt.
    #[prost(uint64, tag = "14", default = "1000")]
    pub retry_delay_ms: u64,
    /// URL of the webhook that is told when a request of the queue has ended; none when empty.
    #[prost(string, tag = "15")]
    pub callback: String,
}

impl Settings {
    /// The settings of a queue that nobody has configured.
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
            // Inference: what a record without these fields means.
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    #[test]
    fn settings_of_an_earlier_version_have_the_standard_for_what_they_lack() {
        let earlier = *b"\x08\x05\x20\x80\x80\x40\x28\x80\xc2\xd7\x2f\x40\xa0\xf7\x36";
        assert_eq!(Settings::decode(&earlier[..]), Ok(Settings::standard()));
        assert_eq!(Settings::standard().encode_to_vec(), earlier);
        let standard = Settings::standard();
        assert_eq!(
            (standard.worker_threads, standard.predictor_timeout_ms, standard.retry_delay_ms),
            (5, 60_000, 1_000)
        );
    }
}
