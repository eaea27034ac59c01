//! Every bound of the machine in one file, with its unit and its reason.

/// Longest frame body by default: 1 MiB. A queue may set another value up to [`PAYLOAD_BYTES_CEILING`].
pub const PAYLOAD_BYTES_DEFAULT: u64 = 1024 * 1024;
/// Highest payload limit a queue may choose. A stored row may hold 2,000,000 bytes on the platform; the rest is left
/// for tags and framing.
pub const PAYLOAD_BYTES_CEILING: u64 = 1_800_000;
/// Bytes a queue and its rear twin may hold together: 8 GB, well below the 10 GB of an object.
pub const QUEUE_BYTES_MAX: u64 = 8_000_000_000;
/// Entries a queue may hold by default; the bound of bytes usually comes first.
pub const QUEUE_LENGTH_DEFAULT: u64 = 100_000_000;
/// Priorities that may have entries at the same time; each delivery looks at every one of them.
pub const PRIORITIES_MAX: usize = 256;
/// Tags of one entry or of a filter.
pub const TAGS_MAX: usize = 32;
/// Longest tag key, in bytes.
pub const TAG_KEY_BYTES_MAX: usize = 128;
/// Longest tag value, in bytes.
pub const TAG_VALUE_BYTES_MAX: usize = 2048;
/// All tags of one entry together, in bytes: keeps entry plus tags inside one stored row.
pub const TAGS_BYTES_MAX: usize = 16 * 1024;
/// Longest service, group or user name, in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// Entries of one batched put.
pub const BATCH_ENTRIES_MAX: usize = 10_000;
/// Body bytes of one batched put: 16 MiB.
pub const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Body bytes of puts that wait to be stored at one queue, until a flush takes them: 32 MiB. More are refused (429).
pub const INBOX_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Body bytes of puts in one flush, if there is more than one put: 8 MiB. On their way they are in memory several
/// times.
pub const FLUSH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Entries of one get.
pub const GET_ENTRIES_MAX: u64 = 10_000;
/// Most bytes one get returns (the first entry always fits): 16 MiB.
pub const GET_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Indexes of one commit, rejection or delete.
pub const INDEXES_MAX: usize = 10_000;
/// Longest wait of a get: 10 minutes.
pub const WAIT_MS_MAX: u64 = 600_000;
/// Gets that may wait at one queue at the same time; each is a request held open.
pub const WAITERS_MAX: usize = 10_000;
/// Window when a watch names none.
pub const WINDOW_DEFAULT: u32 = 10;
/// Widest window; a wider one is cut to this. Its leases must fit into a socket's 16 KiB attachment.
pub const WINDOW_MAX: u32 = 1_000;
/// Bytes that may be out at one consumer; at least one entry always may. Keeps send buffers inside the object's memory.
pub const WINDOW_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Consumer groups of one queue.
pub const GROUPS_MAX: usize = 64;
/// Unacked entries in all groups of one side: they are written with every commit.
pub const UNACKED_MAX: usize = 20_000;
/// Ranges into which commits out of order may cut the undelivered entries of a group.
pub const GROUP_RANGES_MAX: usize = 1_024;
/// Tags of a group's filter together, in bytes: they are written with every commit.
pub const FILTER_BYTES_MAX: usize = 4 * 1024;
/// Bytes of reasons of failed attempts that are kept at one time; beyond that only the codes are.
pub const REASONS_BYTES_MAX: usize = 256 * 1024;
/// Consumers one queue knows, connected or not.
pub const CONSUMERS_MAX: usize = 1_024;
/// Bytes pushed in one turn; the rest goes in the next turn.
pub const TURN_PUSH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Entries pushed in one turn.
pub const TURN_PUSH_ENTRIES_MAX: usize = 4_096;
/// Entries removed by housekeeping (retention, eviction, sweeping) in one turn.
pub const TURN_HOUSEKEEPING_MAX: usize = 1_000;
/// Entries one turn looks at for the filters of groups; the rest is looked at in the next turn.
pub const TURN_LOOKS_MAX: usize = 10_000;
/// Entries a tag filter may look at in one request before it is refused as too broad.
pub const SCAN_ENTRIES_MAX: usize = 200_000;
/// Time for which a consumer is `Leaving` after its connection went: 1 minute.
pub const LEAVING_MS: u64 = 60_000;
/// Time after which a consumer without connection and without pending entries is forgotten: 10 minutes.
pub const FORGET_MS: u64 = 600_000;
/// Time without a heartbeat after which a consumer that holds entries is disconnected, by default: 15 minutes.
pub const SILENCE_MS_DEFAULT: u64 = 900_000;
/// Time for which the entries of a silent consumer wait for it to come back before others get them: 5 seconds.
pub const SILENCE_GRACE_MS: u64 = 5_000;
/// Longest delay of a rejected entry: 1 hour.
pub const DELAY_MS_MAX: u64 = 3_600_000;
/// Entries of another queue whose outcome a queue remembers, beyond those said to be settled: four times the widest
/// window. What may be put again is at most what was out when its consumer failed. The log is written with every put of
/// an outcome.
pub const DEDUP_LOG_MAX: usize = 4_096;
/// Entries of one put that are recognized by their request ids: each is looked for in the whole queue.
pub const DEDUP_LOOKUPS_MAX: usize = 100;
/// Most inferences one queue has running: the widest window.
pub const WORKER_THREADS_MAX: u32 = WINDOW_MAX;
/// Longest time until a failed inference is tried again that may be set: 5 minutes.
pub const RETRY_DELAY_MS_MAX: u64 = 300_000;
/// Longest time of one inference: 15 minutes.
pub const PREDICTOR_TIMEOUT_MS_MAX: u64 = 900_000;
/// Longest negative-commit code, in characters (the vendor's own bound).
pub const CODE_CHARS_MAX: usize = 20;
/// Longest negative-commit reason, in bytes.
pub const REASON_BYTES_MAX: usize = 1_024;

// Relations between limits. One that did not hold would show as a request that can never succeed.

/// Bytes of one stored row on the platform.
const ROW_BYTES_MAX: u64 = 2_000_000;

const _: () = assert!(PAYLOAD_BYTES_DEFAULT <= PAYLOAD_BYTES_CEILING);
const _: () = assert!(
    PAYLOAD_BYTES_CEILING + TAGS_BYTES_MAX as u64 + 8 * TAGS_MAX as u64 + 64 * 1024 <= ROW_BYTES_MAX,
    "the largest entry and its tags fit into one row, with 64 KiB for framing and the head of its segment"
);
const _: () = assert!(TAG_KEY_BYTES_MAX + TAG_VALUE_BYTES_MAX <= FILTER_BYTES_MAX, "any one tag can be watched for");
const _: () = assert!(FILTER_BYTES_MAX <= TAGS_BYTES_MAX, "an entry can carry the tags of any filter");
const _: () = assert!(
    (GROUPS_MAX * FILTER_BYTES_MAX + REASONS_BYTES_MAX) as u64 <= ROW_BYTES_MAX / 2,
    "filters and reasons leave half of the groups' row to ranges and unacked entries"
);
const _: () = assert!(PAYLOAD_BYTES_CEILING <= FLUSH_BYTES_MAX as u64, "any one put fits into a flush");
const _: () = assert!(PAYLOAD_BYTES_CEILING <= GET_BYTES_MAX as u64, "any one entry fits into an answer");
const _: () = assert!(PAYLOAD_BYTES_CEILING <= WINDOW_BYTES_MAX as u64, "any one entry fits into a window");
const _: () = assert!(BATCH_BYTES_MAX <= INBOX_BYTES_MAX, "a batch that is allowed is not refused for its size");
const _: () = assert!(FLUSH_BYTES_MAX <= INBOX_BYTES_MAX, "a flush can be filled");
const _: () = assert!(WINDOW_DEFAULT <= WINDOW_MAX);
const _: () = assert!(WORKER_THREADS_MAX <= WINDOW_MAX, "the consumer beside the queue can be kept busy");
const _: () = assert!(WINDOW_MAX as usize <= INDEXES_MAX, "a window is committed with one request");
const _: () = assert!(WINDOW_MAX as usize <= TURN_PUSH_ENTRIES_MAX, "a window is filled in one turn");
const _: () = assert!(TURN_PUSH_ENTRIES_MAX <= UNACKED_MAX);
const _: () = assert!(4 * WINDOW_MAX as usize <= DEDUP_LOG_MAX, "what a dead consumer puts again is remembered");
const _: () = assert!(DEDUP_LOOKUPS_MAX <= BATCH_ENTRIES_MAX);
const _: () = assert!(TURN_LOOKS_MAX <= SCAN_ENTRIES_MAX);
const _: () = assert!(GROUPS_MAX <= CONSUMERS_MAX, "each group has a consumer");
const _: () = assert!(LEAVING_MS < FORGET_MS, "a consumer is told to be leaving before it is forgotten");
const _: () = assert!(SILENCE_GRACE_MS < LEAVING_MS, "a consumer that may come back is still leaving");
const _: () = assert!(RETRY_DELAY_MS_MAX <= DELAY_MS_MAX, "a retry is a delay");
