//! Batched puts: what their bodies mean, and hostile bodies.

use crate::{NOW_MS, operation, refusal, tags};
use bytes::Bytes;
use edgequeue::queue::effect::{Receipt, Reply};
use edgequeue::queue::entry::{Index, Priority};
use edgequeue::queue::event::{Dedup, NewEntry};
use edgequeue::wire::http::batch::BatchPut;
use edgequeue::wire::proto::frame;
use edgequeue::wire::put::PutDefaults;
use edgequeue::wire::{Answer, Encoding, Form, Operation, PutEntry, answer};
use proptest::prelude::*;

fn batch(content_type: &str) -> BatchPut {
    let request = format!("POST /api/predict/s/sub?_batch_=true&_priority_=3&all=1 \nContent-Type: {content_type}");
    match operation(&request) {
        Operation::Batch { batch, encoding: Encoding::Json } => batch,
        other => panic!("{other:?}"),
    }
}

fn read(content_type: &str, body: &[u8]) -> Result<Vec<NewEntry>, Answer> {
    batch(content_type).read(Bytes::copy_from_slice(body), 9)
}

fn bodies(entries: &[NewEntry]) -> Vec<&str> {
    entries.iter().map(|entry| std::str::from_utf8(&entry.data).unwrap()).collect()
}

#[test]
fn json() {
    let body = br#"[{"text":"hi","tags":{"all":"mine"},"priority":-5},{"data":"aGk=","index":4,"message":""},{}]"#;
    let entries = read("Application/JSON; charset=utf-8", body).unwrap();
    assert_eq!(bodies(&entries), ["hi", "hi", ""]);
    let stamp = NOW_MS.to_string();
    let expected = |all| tags([("all", all), ("ts@source", &stamp), ("Path", "/sub")]);
    assert_eq!(
        entries[0],
        NewEntry { priority: Priority(-5), tags: expected("mine"), data: "hi".into(), random: 9, dedup: None }
    );
    assert_eq!((entries[1].priority, &entries[1].tags), (Priority(3), &expected("1")));
}

#[test]
fn lines() {
    for kind in ["text/plain", "application/x-ndjson"] {
        assert_eq!(bodies(&read(kind, b"a\nb\r\n\r\n\n c \nd").unwrap()), ["a", "b", " c ", "d"]);
        assert_eq!(bodies(&read(kind, b"a\n").unwrap()), ["a"]);
        assert_eq!(read(kind, b"\r\n").unwrap_err().status, 400);
    }
}

#[test]
fn what_was_read_can_be_put_again() {
    let entry =
        |priority| PutEntry { tags: tags([("a", "b"), ("requestId", "")]), data: "x".into(), priority, once: None };
    let list = frame::list(&[entry(None).encode().into(), entry(Some(i64::MIN)).encode().into()]);
    let entries = read("application/vnd.google.protobuf", &list).unwrap();
    assert_eq!(entries.iter().map(|entry| entry.priority).collect::<Vec<_>>(), [Priority(3), Priority(i64::MIN)]);
    assert!(entries.iter().all(|entry| entry.tags["a"] == "b" && !entry.tags.contains_key("requestId")));
}

#[test]
fn once() {
    let once = |content_type: &str, body: &[u8]| {
        read(content_type, body).map(|entries| entries.iter().map(|entry| entry.dedup).collect::<Vec<_>>())
    };
    let source =
        |index, settled_below| Some(Dedup::Source { index: Index(index), settled_below: Index(settled_below) });
    let body = br#"[{"once":true,"tags":{"requestId":"a"}},{"source":7,"settledBelow":5},{"source":0},
        {"once":false},{"once":null,"source":null}]"#;
    assert_eq!(
        once("application/json", body),
        Ok(vec![Some(Dedup::RequestId), source(7, 5), source(0, 0), None, None])
    );
    let entry = |once| PutEntry { tags: tags([("requestId", "a")]), once, ..PutEntry::default() }.encode().into();
    let list = frame::list(&[entry(Some(Dedup::RequestId)), entry(source(300, 7)), entry(None)]);
    let read_back = once("application/vnd.google.protobuf", &list);
    assert_eq!(read_back, Ok(vec![Some(Dedup::RequestId), source(300, 7), None]));

    // For the whole batch; an entry's own source wins.
    let all = batch("application/json");
    let all = BatchPut { defaults: PutDefaults { once: true, ..all.defaults }, ..all };
    let read_all = |body: &'static [u8]| all.read(body.into(), 9);
    let entries = read_all(br#"[{"tags":{"requestId":"a"}},{"source":7}]"#).unwrap();
    assert_eq!(entries.iter().map(|entry| entry.dedup).collect::<Vec<_>>(), [Some(Dedup::RequestId), source(7, 0)]);
    for (body, status, text) in [
        (r#"[{"once":true}]"#.to_string(), 400, "a put with _once_ is recognized by its request id"),
        (r#"[{"settledBelow":3}]"#.into(), 400, "the body is not a JSON list of entries"),
        (r#"[{"source":2,"settledBelow":3}]"#.into(), 400, "the body is not a JSON list of entries"),
        (r#"[{"source":-1}]"#.into(), 400, "the body is not a JSON list of entries"),
        (r#"[{"once":1}]"#.into(), 400, "the body is not a JSON list of entries"),
        (
            format!("[{}{{}}]", r#"{"once":true,"tags":{"requestId":"a"}},"#.repeat(101)),
            413,
            "there are more than 100 entries to put once",
        ),
    ] {
        let refused = read("application/json", body.as_bytes()).expect_err(&body);
        assert_eq!(refused.status, status, "{body}");
        assert!(refused.body.starts_with(text.as_bytes()), "{:?}", refused.body);
    }
    assert_eq!(read_all(br#"[{"text":"x"}]"#).unwrap_err().status, 400);
}

#[test]
fn callbacks() {
    let read = |body: &str| read("application/json", body.as_bytes());
    let entries = read(r#"[{"tags":{"callback":"https://a.example/x"}}]"#).unwrap();
    assert_eq!(entries[0].tags["callback"], "https://a.example/x");
    assert_eq!(read(r#"[{"tags":{"callback":"a.example"}}]"#).unwrap_err().status, 400);
}

#[test]
fn receipts() {
    let receipt = |index, id: &str| Receipt { index: Index(index), request_id: id.into(), repeated: false };
    let reply = || Reply::Put(vec![receipt(1, "a\"b"), receipt(2, "c")]);
    let json = answer(&Form::Batch(Encoding::Json), reply());
    assert_eq!(json.body, "{\"indexes\":[1,2],\"requestIds\":[\"a\\\"b\",\"c\"]}\n");
    let again = |index, id: &str| Receipt { repeated: true, ..receipt(index, id) };
    let some = || Reply::Put(vec![again(0, ""), receipt(2, "c"), again(1, "a")]);
    let json = answer(&Form::Batch(Encoding::Json), some());
    assert_eq!(json.body, "{\"indexes\":[0,2,1],\"requestIds\":[\"\",\"c\",\"a\"],\"repeated\":[0,2]}\n");
    let frames = frame::decode_list(&answer(&Form::Batch(Encoding::Protobuf), some()).body).unwrap();
    assert_eq!(frames.iter().map(|frame| frame.message.as_str()).collect::<Vec<_>>(), ["repeated", "", "repeated"]);
    let protobuf = answer(&Form::Batch(Encoding::Protobuf), reply());
    let frames = frame::decode_list(&protobuf.body).unwrap();
    assert_eq!((frames[1].index, &frames[1].tags), (2, &tags([("requestId", "c")])));
}

#[test]
fn refusals() {
    assert_eq!(refusal("GET /?_batch_=true").0, 405);
    assert_eq!(refusal("POST /?_batch_=true").0, 400);
    assert_eq!(refusal("POST /?_batch_=true&_eos_=true\nContent-Type: application/json").0, 400);
    let many = |entry: &str| format!("[{}]", vec![entry; 10_001].join(","));
    for (kind, body, status) in [
        ("application/json", "[".to_string(), 400),
        ("application/json", "[] []".to_string(), 400),
        ("application/json", "[{\"tags\":{\"a\":1}}]".to_string(), 400),
        ("application/json", format!("[{{\"{}\":1}}]", "x".repeat(5_000)), 400),
        ("application/json", format!("[{{\"data\":\"{}\"}}]", "?".repeat(5_000)), 400),
        ("application/json", many("{}"), 413),
        ("text/plain", "x\n".repeat(10_001), 413),
        ("application/vnd.google.protobuf", "\n\0".repeat(10_001), 413),
        ("application/vnd.google.protobuf", "\n".to_string(), 400),
    ] {
        let refused = read(kind, body.as_bytes()).unwrap_err();
        assert_eq!(refused.status, status, "{kind} {}", &body[..body.len().min(40)]);
        assert!(refused.body.len() < 600);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_batch_or_refused(body in any::<Vec<u8>>(), json in "[\\[\\]{}\",:a-z0-9_]{0,40}") {
        for kind in ["application/json", "application/vnd.google.protobuf", "text/plain"] {
            for body in [body.as_slice(), json.as_bytes()] {
                if let Err(refused) = read(kind, body) {
                    prop_assert!((400..500).contains(&refused.status));
                }
            }
        }
    }
}
