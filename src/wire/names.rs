//! Names that both ends use: headers, tags, media types.

/// Header with the name of the consumer.
pub const HEADER_USER: &str = "X-EAS-QueueService-Uid";
/// Header with the name of the consumer's group.
pub const HEADER_GROUP: &str = "X-EAS-QueueService-Gid";
/// The same as some clients write it.
pub const HEADER_USER_REDIS: &str = "X-EAS-QueueService-Redis-Uid";
/// The same as some clients write it.
pub const HEADER_GROUP_REDIS: &str = "X-EAS-QueueService-Redis-Gid";
/// Header with the priority of a put.
pub const HEADER_PRIORITY: &str = "X-EAS-QueueService-Priority";
/// Header that selects the rear queue.
pub const HEADER_REAR: &str = "X-EAS-QueueService-Access-Rear";
/// Consumer of a request that names none.
pub const USER_DEFAULT: &str = "default_user";
/// Group of a request that names none.
pub const GROUP_DEFAULT: &str = "default_group";

/// Header with the request id of a put entry, and of an entry got raw.
pub const HEADER_REQUEST_ID: &str = "X-Eas-Queueservice-Request-Id";
/// Header of the answer to a put of one entry that stored nothing because an earlier put had done so.
pub const HEADER_REPEATED: &str = "X-Eas-Queueservice-Repeated";
/// Message of the receipt of an entry that was not stored because an earlier put had done so.
pub const REPEATED: &str = "repeated";

/// Media type that asks for protobuf.
pub const PROTOBUF: &str = "application/vnd.google.protobuf";
/// Tag with the content type of a put.
pub const TAG_CONTENT_TYPE: &str = "Header:Content-Type";
/// Tag with the sub-path of a put.
pub const TAG_PATH: &str = "Path";
/// Tag with the URL that is told when the request has ended.
pub const TAG_CALLBACK: &str = "callback";

/// Value of the attribute `meta.backend`.
pub const BACKEND: &str = "edgequeue";

/// Media type of texts.
pub const TEXT: &str = "text/plain; charset=utf-8";
/// Media type of JSON.
pub const JSON: &str = "application/json";
/// Media type of bytes about which nothing is known.
pub const BINARY: &str = "application/octet-stream";
