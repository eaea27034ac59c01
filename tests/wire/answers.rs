//! Replies and refusals as answers.

use super::golden::{delivery, stats};
use super::tags;
use edgequeue::queue::effect::{Delivery, Receipt, Reply};
use edgequeue::queue::entry::{Entry, Index, Priority, Tags};
use edgequeue::queue::event::ConsumerId;
use edgequeue::queue::refusal::Refusal;
use edgequeue::queue::stats::Position;
use edgequeue::queue::store::Side;
use edgequeue::wire::EntryEncoding::{List, Raw};
use edgequeue::wire::{Address, Answer, Encoding, Form, answer};

const TEXT: Option<&str> = Some("text/plain; charset=utf-8");

fn parts(answer: &Answer) -> (u16, Option<&str>, &[u8]) {
    (answer.status, answer.content_type.as_deref(), &answer.body)
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
}

#[test]
fn put() {
    let receipt = |request_id: &str| Receipt { index: Index(1033), request_id: request_id.into(), repeated: false };
    let one = answer(&Form::Put, Reply::Put(vec![receipt("a-b")]));
    assert_eq!(parts(&one), (200, TEXT, "1033".as_bytes()));
    assert_eq!(header(&one, "X-Eas-Queueservice-Request-Id"), Some("a-b"));
    let foreign = answer(&Form::Put, Reply::Put(vec![receipt("\u{4e2d}\n")]));
    assert_eq!(header(&foreign, "X-Eas-Queueservice-Request-Id"), Some("%E4%B8%AD%0A"));
    assert_eq!(header(&one, "X-Eas-Queueservice-Repeated"), None);
    let again = answer(&Form::Put, Reply::Put(vec![Receipt { repeated: true, ..receipt("a-b") }]));
    assert_eq!(parts(&again), (200, TEXT, "1033".as_bytes()));
    assert_eq!(header(&again, "X-Eas-Queueservice-Repeated"), Some("true"));
}

#[test]
fn plain_replies() {
    assert_eq!(parts(&answer(&Form::Done, Reply::Done)), (200, TEXT, "OK".as_bytes()));
    assert_eq!(parts(&answer(&Form::Count, Reply::Count(12))), (200, TEXT, "12".as_bytes()));
    let consumer = ConsumerId { group: "eas".into(), user: "x".into() };
    let position = Position { consumer, pending: false, ahead: 2 };
    let text = r#"{"ConsumerId": "eas.x", "IsPending": false, "WaitCount": 2}"#;
    assert_eq!(
        parts(&answer(&Form::Position, Reply::Position(position))),
        (200, Some("application/json"), text.as_bytes())
    );
}

#[test]
fn entries() {
    let write = |encoding, deliveries| answer(&Form::Entries(encoding), Reply::Entries(deliveries));
    for encoding in [Raw, List(Encoding::Json), List(Encoding::Protobuf)] {
        assert_eq!(parts(&write(encoding, vec![])), (204, None, "".as_bytes()));
    }
    let raw = write(Raw, vec![delivery()]);
    assert_eq!(parts(&raw), (200, TEXT, "hi".as_bytes()));
    assert_eq!(header(&raw, "X-Eas-Queueservice-Request-Id"), Some("abc"));
    assert_eq!(header(&raw, "X-Content-Type-Options"), Some("nosniff"));
    let json = write(List(Encoding::Json), vec![delivery()]);
    assert_eq!(parts(&json), (200, Some("application/json"), include_bytes!("list.json").as_slice()));
    let several = write(Raw, vec![delivery(), delivery()]);
    assert_eq!(several.content_type.as_deref(), Some("application/json"));
    let protobuf = write(List(Encoding::Protobuf), vec![delivery()]);
    assert_eq!(protobuf.content_type.as_deref(), Some("application/vnd.google.protobuf"));
    assert_eq!(protobuf.body.len(), 26);
}

#[test]
fn raw_content_types() {
    let content_type = |tags: Tags, data: &'static [u8]| {
        let entry = Entry::encode(Index(1), Priority(0), 0, tags, data.into());
        let delivery = Delivery { entry, gained: Tags::new(), index_only: false, attempt: 0 };
        answer(&Form::Entries(Raw), Reply::Entries(vec![delivery])).content_type.unwrap().to_string()
    };
    let text = TEXT.unwrap();
    for (stored, data, expected) in [
        ("image/png", "x", "image/png"),
        ("multipart/form-data; boundary=\"a b\"", "x", "multipart/form-data; boundary=\"a b\""),
        ("application/x-www-form-urlencoded", "[{}]", text),
        ("application/X-www-form-urlencoded; charset=utf-8", "[{}]", text),
        ("nonsense", "x", text),
        ("a/b\r\nX: y", "x", text),
        ("a/\u{e9}", "x", text),
        ("/", "x", text),
        ("", "x", text),
        ("", "", text),
        ("", "\u{4e2d}\n\t", text),
        ("", "\u{0}", "application/octet-stream"),
    ] {
        assert_eq!(content_type(tags([("Header:Content-Type", stored)]), data.as_bytes()), expected, "{stored} {data}");
    }
    assert_eq!(content_type(tags([]), &[0xff, 0xfe]), "application/octet-stream");
}

#[test]
fn stats_as_attributes_or_settings() {
    let address = Address { service: "s".into(), sink: false, suffix: "".into() };
    let form = |encoding| Form::Attributes(encoding, address.clone(), Side::Main);
    let json = answer(&form(Encoding::Json), Reply::Stats(Box::new(stats())));
    assert!(json.body.starts_with(b"{\"consumers.list.[0]\":\"Id: default_group.u1, ") && json.body.ends_with(b"}\n"));
    let protobuf = answer(&form(Encoding::Protobuf), Reply::Stats(Box::new(stats())));
    assert_eq!(protobuf.content_type.as_deref(), Some("application/vnd.google.protobuf"));
    let settings = answer(&Form::Settings, Reply::Stats(Box::new(stats())));
    assert!(settings.body.starts_with(b"{\"max_delivery\":5,"));
}

#[test]
fn refusals() {
    for (refusal, status) in [
        (Refusal::TooLarge { bytes: 2, max: 1 }, 413),
        (Refusal::Full { length: 1, max: 1 }, 429),
        (Refusal::FullBytes { bytes: 1, max: 1 }, 429),
        (Refusal::TooMany { what: "groups", max: 1, advice: "wait" }, 429),
        (Refusal::Ended, 410),
        (Refusal::FilterDiffers { group: "g".into() }, 400),
        (Refusal::NotFound, 404),
        (Refusal::Bad("no".into()), 400),
    ] {
        let answer = answer(&Form::Done, Reply::Refused(refusal.clone()));
        assert_eq!(parts(&answer), (status, TEXT, refusal.to_string().as_bytes()));
        assert_eq!(header(&answer, "Retry-After").is_some(), status == 429);
    }
    assert_eq!(answer(&Form::Done, Reply::Refused(Refusal::NotFound)).body, "no data in stream");
}

#[test]
#[should_panic(expected = "a queue answers each operation with a reply of its own kind")]
fn a_reply_of_another_kind_is_a_broken_queue() {
    answer(&Form::Settings, Reply::Done);
}

#[test]
#[should_panic(expected = "one entry was put, and there are 0 receipts")]
fn a_put_without_a_receipt_is_a_broken_queue() {
    answer(&Form::Put, Reply::Put(Vec::new()));
}
