//! Entries. An [`Entry`] is stored in the form in which it is sent, so that pushing one is a slice.

use alloc::{collections::BTreeMap, string::String, vec::Vec};
use bytes::Bytes;
use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint, encoded_len_varint};

/// Number of an entry in its queue, from 1, never used twice. 0 means "before the first".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Index(pub u64);

impl Index {
    /// The index after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A priority. Higher ones are delivered first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(pub i64);

/// Tags of an entry, by key.
pub type Tags = BTreeMap<String, String>;

/// Tag that names the request an entry belongs to.
pub const TAG_REQUEST_ID: &str = "requestId";
/// Tag with the code of the last failed attempt.
pub const TAG_LAST_CODE: &str = "lastCode";
/// Tag with the reason of the last failed attempt.
pub const TAG_LAST_REASON: &str = "lastReason";
/// Prefix of the time stamps the service adds (`ts@source`, `ts@sink`, Unix milliseconds).
pub const TAG_TIME_PREFIX: &str = "ts@";

/// The wire's `DataFrameProto`: field order and numbers are the vendor's.
#[derive(Clone, PartialEq, Message)]
pub struct Frame {
    /// Index of the entry.
    #[prost(uint64, tag = "1")]
    pub index: u64,
    /// Tags of the entry.
    #[prost(btree_map = "string, string", tag = "2")]
    pub tags: Tags,
    /// Body of the entry.
    #[prost(bytes = "bytes", tag = "3")]
    pub data: Bytes,
    /// Not used by the service; clients know the field.
    #[prost(string, tag = "4")]
    pub message: String,
}

/// A stored entry. `frame` is an encoded [`Frame`] whose first `head_len` bytes are index and tags; the body field
/// follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub index: Index,
    /// Its priority.
    pub priority: Priority,
    /// When it was put, Unix milliseconds.
    pub put_ms: u64,
    /// Length in bytes of the part of `frame` before the body.
    pub head_len: u32,
    /// The whole encoded frame.
    pub frame: Bytes,
}

impl Entry {
    /// Encodes an entry. `tags` must hold everything it will ever be found by.
    pub fn encode(index: Index, priority: Priority, put_ms: u64, tags: Tags, data: Bytes) -> Self {
        let mut frame = Vec::with_capacity(data.len() + 64);
        let head_len = encode(index, &tags, None, &data, &mut frame);
        Self { index, priority, put_ms, head_len, frame: frame.into() }
    }

    /// Index and tags without the body: what an index-only watcher is sent.
    pub fn head(&self) -> Bytes {
        self.frame.slice(..self.head_len as usize)
    }

    /// The tags.
    pub fn tags(&self) -> Tags {
        Frame::decode(self.head()).expect("a frame is checked when it is read from the store").tags
    }

    /// The body: a slice, nothing is decoded.
    pub fn data(&self) -> Bytes {
        body(self.frame.slice(self.head_len as usize..)).expect("a frame is checked when it is read from the store")
    }

    /// The bytes it counts for in the totals of the queue.
    pub fn bytes(&self) -> u64 {
        self.frame.len() as u64
    }
}

/// Whether bytes are the frame of the entry with this index, and their first `head_len` bytes all of it but the body.
/// Bytes that are stored with a checksum need not be asked.
pub fn is_frame(index: Index, head_len: u32, frame: &Bytes) -> bool {
    let Some((head, rest)) = frame.split_at_checked(head_len as usize) else { return false };
    let Ok(head) = Frame::decode(head) else { return false };
    let is_head = Frame { index: index.0, tags: head.tags.clone(), ..Frame::default() } == head;
    is_head && body(frame.slice_ref(rest)).is_some()
}

/// The body that is encoded in the part of a frame after its head; none where that is not exactly one field.
fn body(mut rest: Bytes) -> Option<Bytes> {
    if rest.is_empty() {
        return Some(rest);
    }
    let is_body = decode_key(&mut rest).ok()? == (3, WireType::LengthDelimited);
    let len = decode_varint(&mut rest).ok()?;
    (is_body && len == rest.len() as u64).then_some(rest)
}

/// Appends an encoded [`Frame`] with `tags` and one more, and returns the length of its part before the body. The bytes
/// are those that [`Frame`] itself would make, in one pass.
pub(super) fn encode(index: Index, tags: &Tags, more: Option<(&str, &str)>, data: &[u8], out: &mut Vec<u8>) -> u32 {
    let start = out.len();
    if index.0 != 0 {
        encode_key(1, WireType::Varint, out);
        encode_varint(index.0, out);
    }
    // Tags are encoded in the order of their keys.
    let mut more = more;
    for (key, value) in tags {
        if let Some((more_key, more_value)) = more.take_if(|(more_key, _)| *more_key < key.as_str()) {
            encode_tag(more_key, more_value, out);
        }
        encode_tag(key, value, out);
    }
    if let Some((key, value)) = more {
        encode_tag(key, value, out);
    }
    let head_len = out.len() - start;
    if !data.is_empty() {
        encode_bytes(3, data, out);
    }
    head_len as u32
}

/// Appends one tag. The format leaves out empty keys and values.
fn encode_tag(key: &str, value: &str, out: &mut Vec<u8>) {
    let field_len =
        |text: &str| if text.is_empty() { 0 } else { 1 + encoded_len_varint(text.len() as u64) + text.len() };
    encode_key(2, WireType::LengthDelimited, out);
    encode_varint((field_len(key) + field_len(value)) as u64, out);
    for (field, text) in [(1, key), (2, value)] {
        if !text.is_empty() {
            encode_bytes(field, text.as_bytes(), out);
        }
    }
}

fn encode_bytes(field: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Tags an entry must carry, with equal values. An empty filter matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter(pub Tags);

impl Filter {
    /// Whether every entry matches.
    pub fn is_any(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `tags` holds every tag of the filter.
    pub fn matches_tags(&self, tags: &Tags) -> bool {
        self.0.iter().all(|(key, value)| tags.get(key) == Some(value))
    }

    /// Whether the entry matches.
    pub fn matches(&self, entry: &Entry) -> bool {
        self.is_any() || self.matches_tags(&entry.tags())
    }

    /// The marks of each entry that matches, see [`mark`]. Time stamps have none.
    pub fn marks(&self) -> Vec<Mark> {
        marks(&self.0)
    }
}

/// A four-byte fingerprint of one tag, kept beside a segment so that a search can skip segments without the tag.
pub type Mark = [u8; 4];

/// Marks of all tags except time stamps, which differ for every entry and are not searched for.
pub fn marks(tags: &Tags) -> Vec<Mark> {
    tags.iter().filter(|(key, _)| !key.starts_with(TAG_TIME_PREFIX)).map(|(key, value)| mark(key, value)).collect()
}

/// FNV-1a over `key`, a zero byte and `value`, folded to four bytes.
pub fn mark(key: &str, value: &str) -> Mark {
    let bytes = key.bytes().chain([0]).chain(value.bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    ((hash >> 32) as u32 ^ hash as u32).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn an_entry_is_encoded_as_its_frame_would_be() {
        let pairs =
            |pairs: &[(&str, &str)]| -> Tags { pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect() };
        let long = "v".repeat(300);
        let tags = [
            pairs(&[]),
            pairs(&[("a", "1")]),
            pairs(&[("requestIe", ""), ("z", &long), ("", "x"), ("requestIc", "2"), ("", "")]),
        ];
        for tags in tags {
            for more in [None, Some((TAG_REQUEST_ID, "id"))] {
                for data in [&b""[..], b"x", &[7; 70_000]] {
                    for index in [0, 1, 127, 128, u64::MAX] {
                        let mut out = Vec::from(*b"before");
                        let head_len = encode(Index(index), &tags, more, data, &mut out) as usize;
                        let out = &out[6..];
                        let mut all = tags.clone();
                        all.extend(more.map(|(key, value)| (key.to_string(), value.to_string())));
                        let mut frame = Frame { index, tags: all, ..Frame::default() };
                        assert_eq!(out[..head_len], frame.encode_to_vec());
                        frame.data = Bytes::copy_from_slice(data);
                        assert_eq!(out, frame.encode_to_vec());
                        let encoded = Bytes::copy_from_slice(out);
                        assert!(is_frame(Index(index), head_len as u32, &encoded));
                        assert!(!is_frame(Index(index ^ 1), head_len as u32, &encoded));
                        let cut = encoded.slice(..out.len().saturating_sub(1));
                        assert!(out.is_empty() || !is_frame(Index(index), head_len as u32, &cut));
                        let entry = Entry { head_len: head_len as u32, frame: encoded, ..Entry::default() };
                        assert_eq!((entry.tags(), entry.data()), (frame.tags, frame.data));
                    }
                }
            }
        }
    }
}
