//! Exact bytes.

use super::tags;
use base64::{Engine, engine::general_purpose::STANDARD};
use edgequeue::queue::config::Settings;
use edgequeue::queue::effect::Delivery;
use edgequeue::queue::entry::{Entry, Filter, Frame, Index, Priority};
use edgequeue::queue::event::ConsumerId;
use edgequeue::queue::stats::{ConsumerStats, ConsumerStatus, GroupStats, Stats};
use edgequeue::queue::store::Side;
use edgequeue::wire::http::attributes;
use edgequeue::wire::proto::frame;
use edgequeue::wire::{Address, json};
use proptest::prelude::*;
use prost::Message;
use std::collections::BTreeMap;

fn hex(text: &str) -> Vec<u8> {
    let digits = text.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace);
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

pub fn delivery() -> Delivery {
    let entry = Entry::encode(Index(5), Priority(0), 0, tags([("requestId", "abc")]), "hi".into());
    Delivery { entry, gained: tags([]), index_only: false, attempt: 1 }
}

#[test]
fn protobuf() {
    let frame = delivery().frame();
    assert_eq!(frame, hex(include_str!("frame.hex")));
    assert_eq!(frame::list(std::slice::from_ref(&frame)), hex(include_str!("list.hex")));
    assert_eq!(frame::delimited(&frame), hex(include_str!("stream.hex")));
    let map = BTreeMap::from([("stream.length".to_string(), "0".to_string())]);
    assert_eq!(frame::attributes(&map), hex(include_str!("attributes.hex")));
    assert!(frame::list(&[]).is_empty());
}

#[test]
fn json() {
    assert_eq!(json::frame::json_list([&frame::of(&delivery())]), include_str!("list.json"));
    let text = "<b>&\"\\\u{1}\u{8}\u{c}\n\r\t\u{2028}\u{2029}\u{e9}";
    let first = Frame {
        index: u64::MAX,
        tags: tags([("a", text), ("Z", "2"), ("A", "1")]),
        data: "".into(),
        message: "m".into(),
    };
    let second = Frame { index: 2, tags: tags([]), data: vec![0, 255].into(), message: "".into() };
    assert_eq!(json::frame::json_list([&first, &second]), include_str!("escapes.json"));
    assert_eq!(json::frame::json_list([]), "[]\n");
    let map = BTreeMap::from([("b".to_string(), "<".to_string()), ("a".to_string(), "".to_string())]);
    assert_eq!(json::frame::json_attributes(&map), "{\"a\":\"\",\"b\":\"\\u003c\"}\n");
}

#[test]
fn gained_tags_override_stored_ones() {
    let entry = Entry::encode(Index(1), Priority(0), 0, tags([("lastCode", "400"), ("a", "1")]), "x".into());
    let delivery = Delivery { entry, gained: tags([("lastCode", "500")]), index_only: false, attempt: 1 };
    let decoded = frame::decode_list(&frame::list(&[delivery.frame()])).unwrap();
    assert_eq!(decoded, [frame::of(&delivery)]);
    assert_eq!(decoded[0].tags, tags([("lastCode", "500"), ("a", "1")]));
}

#[test]
fn index_only_has_no_data() {
    let delivery = Delivery { index_only: true, ..delivery() };
    let decoded = Frame::decode(delivery.frame()).unwrap();
    assert_eq!(decoded, frame::of(&delivery));
    assert!(decoded.data.is_empty());
}

pub fn stats() -> Stats {
    let consumer = |group: &str, user: &str| ConsumerStats {
        id: ConsumerId { group: group.into(), user: user.into() },
        index: Index(0),
        pending: 0,
        status: ConsumerStatus::Running,
        idle_ms: 19_997,
        window: 5,
        slots: 5,
        auto_commit: false,
        filter: Filter::default(),
    };
    Stats {
        ended: false,
        first: Index(3),
        last: Index(9),
        length: 4,
        bytes: 93,
        waiting: 3,
        in_flight: 1,
        oldest_ms: 62_091,
        done: 7,
        failed: 2,
        waiting_gets: 2,
        settings: Settings { max_idle_ms: 60_000, ..Settings::standard() },
        consumers: vec![
            ConsumerStats {
                status: ConsumerStatus::Complete,
                idle_ms: 2_091,
                window: 0,
                slots: 0,
                auto_commit: true,
                ..consumer("default_group", "u1")
            },
            consumer("imageasync", "imageasync-35d72370-5f576f7c8d-2mdb4"),
            ConsumerStats {
                index: Index(7),
                pending: 1,
                status: ConsumerStatus::Exit,
                idle_ms: 0,
                window: 3,
                slots: 2,
                filter: Filter(tags([("zoo", "1"), ("foo", "bar")])),
                ..consumer("tagged", "u2")
            },
        ],
        groups: vec![GroupStats { id: "imageasync".into(), index: Index(0), pending: 0, delivered: 1, consumers: 1 }],
    }
}

#[test]
fn attribute_lines() {
    let address = Address { service: "imageasync".into(), sink: true, suffix: "".into() };
    let map = attributes::attributes(&stats(), &address, Side::Main);
    let text: String = map.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
    assert_eq!(text, include_str!("attributes.txt"));
}

#[test]
fn attributes_of_an_empty_ended_rear_queue() {
    let address = Address { service: "s".into(), sink: false, suffix: "".into() };
    let empty = Stats { ended: true, first: Index(0), last: Index(0), length: 0, consumers: vec![], ..stats() };
    let map = attributes::attributes(&empty, &address, Side::Rear);
    for (key, value) in [
        ("stream.length", "0"),
        ("stream.firstEntry", "0"),
        ("stream.lastEntry", "0"),
        ("consumers.stats.total", "0"),
        ("meta.state", "Ended"),
        ("meta.side", "rear"),
        ("meta.kind", "source"),
        ("meta.name", "s"),
    ] {
        assert_eq!(map[key], value, "{key}");
    }
    let zero = Stats { settings: Settings::default(), ..empty };
    assert_eq!(attributes::attributes(&zero, &address, Side::Main)["stream.approxMaxLength"], "0");
}

/// What a JSON reader makes of a list.
fn read_json(text: &str) -> Vec<Frame> {
    #[derive(serde::Deserialize)]
    struct JsonFrame {
        index: u64,
        #[serde(default)]
        message: String,
        tags: BTreeMap<String, String>,
        data: String,
    }
    let frames: Vec<JsonFrame> = serde_json::from_str(text).unwrap();
    let read = |JsonFrame { index, message, tags, data }| {
        let data = STANDARD.decode(data).unwrap().into();
        Frame { index, tags, data, message }
    };
    frames.into_iter().map(read).collect()
}

prop_compose! {
    fn any_frame()(
        index in any::<u64>(),
        tags in proptest::collection::btree_map(any::<String>(), any::<String>(), 0..4),
        data in any::<Vec<u8>>(),
        message in any::<String>(),
    ) -> Frame {
        Frame { index, tags, data: data.into(), message }
    }
}

proptest! {
    #[test]
    fn lists_come_back(frames in proptest::collection::vec(any_frame(), 0..5)) {
        let encoded: Vec<_> = frames.iter().map(|frame| frame.encode_to_vec().into()).collect();
        prop_assert_eq!(&frame::decode_list(&frame::list(&encoded)).unwrap(), &frames);
        prop_assert_eq!(&read_json(&json::frame::json_list(&frames)), &frames);
    }

    #[test]
    fn attributes_come_back(map in proptest::collection::btree_map(any::<String>(), any::<String>(), 0..5)) {
        let json: BTreeMap<String, String> = serde_json::from_str(&json::frame::json_attributes(&map)).unwrap();
        prop_assert_eq!(json, map);
    }
}
