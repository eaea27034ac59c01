//! The protocol `edgequeue.v1`: golden bytes (those of docs/protocol.md), round trips, hostile messages.

use crate::{send, tags};
use bytes::Bytes;
use edgequeue::queue::effect::Receipt;
use edgequeue::queue::entry::Index;
use edgequeue::queue::event::{Dedup, Rejection};
use edgequeue::queue::limits;
use edgequeue::wire::PutEntry;
use edgequeue::wire::proto::fields::Malformed;
use edgequeue::wire::v1::client::{ClientCommand, ClientRequest, requests};
use edgequeue::wire::v1::server::{ServerAnswer, ServerEvent, ServerMessage, events};
use edgequeue::wire::v1::subprotocol::is_offered;
use edgequeue::wire::{Answer, CallPurpose, Transport};
use proptest::prelude::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn written(requests: &[ClientRequest]) -> Bytes {
    let mut message = Vec::new();
    requests.iter().for_each(|request| request.write(&mut message));
    message.into()
}

fn one(command: ClientCommand) -> ClientRequest {
    ClientRequest { id: 7, command }
}

fn source(index: u64, settled_below: u64) -> Dedup {
    Dedup::Source { index: Index(index), settled_below: Index(settled_below) }
}

fn entry(data: &'static str) -> PutEntry {
    PutEntry { data: Bytes::from_static(data.as_bytes()), ..PutEntry::default() }
}

#[test]
fn client_messages_in_bytes() {
    let tagged = PutEntry { tags: tags([("a", "b")]), priority: Some(-1), ..entry("hi") };
    let golden = [
        (
            one(ClientCommand::Put(vec![tagged, entry("x")], true)),
            "0a1b 0807 1217 0a0e 1206 0a0161 120162 1a026869 2801 0a03 1a0178 1001",
        ),
        (one(ClientCommand::Commit(vec![Index(5), Index(6), Index(3)])), "0a09 0807 1a05 0a03 0a0205"),
        (
            one(ClientCommand::Reject(
                vec![Index(5)],
                Rejection { code: "OOM".into(), reason: "no".into(), delay_ms: 0 },
            )),
            "0a10 0807 220c 0a01 0a 1203 4f4f4d 1a02 6e6f",
        ),
        (
            one(ClientCommand::Reject(vec![Index(5)], Rejection { delay_ms: 5_000, ..Rejection::default() })),
            "0a0e 0807 220a 0a01 0a 1200 1a00 208827",
        ),
        (
            one(ClientCommand::Put(vec![PutEntry { once: Some(Dedup::RequestId), ..entry("x") }], false)),
            "0a0b 0807 1207 0a05 1a0178 3001",
        ),
        (
            one(ClientCommand::Put(vec![PutEntry { once: Some(source(300, 7)), ..entry("x") }], false)),
            "0a0e 0807 120a 0a08 1a0178 38ac02 4007",
        ),
        (one(ClientCommand::Window(0)), "0a04 0807 2800"),
        (one(ClientCommand::Window(300)), "0a05 0807 28ac02"),
    ];
    for (request, bytes) in golden {
        assert_eq!(written(std::slice::from_ref(&request)), hex(bytes), "{request:?}");
        assert_eq!(requests(hex(bytes).into()).unwrap(), [(7, Ok(request.command))]);
    }
}

#[test]
fn server_messages_in_bytes() {
    let mut message = ServerMessage::default();
    message.answer(&ServerAnswer { id: 7, first_index: Index(1), ..ServerAnswer::default() });
    message.answer(&ServerAnswer { id: 8, ..ServerAnswer::default() });
    message.answer(&ServerAnswer::refused(9, &Answer::text(429, "full")));
    message.answer(&ServerAnswer {
        id: 10,
        first_index: Index(300),
        request_ids: vec!["r".into()],
        ..ServerAnswer::default()
    });
    message.frame(&hex("0805 1a026869"));
    let bytes =
        hex("0a04 0807 2001 0a02 0808 0a0b 0809 10ad03 1a04 66756c6c 0a08 080a 20ac02 2a0172 1206 0805 1a026869");
    assert_eq!(message.0, bytes);
    let all = events(bytes.into()).unwrap();
    assert_eq!(all.len(), 5);
    assert_eq!(
        all[2],
        ServerEvent::Answered(ServerAnswer { id: 9, status: 429, text: "full".into(), ..ServerAnswer::default() })
    );
    assert_eq!(all[4], ServerEvent::Pushed(hex("0805 1a026869").into()));
}

#[test]
fn a_put_of_which_some_were_there_already() {
    let receipt = |index, repeated| Receipt { index: Index(index), request_id: format!("r{index}"), repeated };
    let answered =
        ServerAnswer::put(7, vec![receipt(9, false), receipt(5, true), receipt(10, false), receipt(0, true)], false);
    let mut message = ServerMessage::default();
    message.answer(&answered);
    assert_eq!(message.0, hex("0a0e 0807 2009 3204 12070a13 3801 3803"));
    assert_eq!(events(message.0.into()).unwrap(), [ServerEvent::Answered(answered)]);
    let plain = ServerAnswer::put(7, vec![receipt(9, false), receipt(10, false)], true);
    assert_eq!(plain.indexes, []);
    assert_eq!((plain.first_index, plain.request_ids), (Index(9), vec!["r9".into(), "r10".into()]));
}

#[test]
fn the_protocol_is_chosen_by_name() {
    assert!(is_offered("edgequeue.v1") && is_offered("a, edgequeue.v1 ,b"));
    for other in ["", "edgequeue", "edgequeue.v2", "edgequeue.v1x", "edgequeue.v1.1"] {
        assert!(!is_offered(other), "{other}");
    }
    let watch = |lines: &str| match send(&format!("GET /?_watch_=true&_window_=0\nUpgrade: websocket\n{lines}")) {
        Ok(call) => match call.purpose {
            CallPurpose::Watch { watch, transport } => Ok((watch.window, transport)),
            other => panic!("{other:?}"),
        },
        Err(answer) => Err(answer.status),
    };
    assert_eq!(watch("Sec-WebSocket-Protocol: x, edgequeue.v1"), Ok((0, Transport::Session)));
    assert_eq!(watch("Sec-WebSocket-Protocol: x"), Err(400));
}

fn statuses(message: &str) -> Vec<(u64, u16)> {
    let all = requests(hex(message).into()).unwrap();
    all.into_iter().map(|(id, operation)| (id, operation.map_or_else(|answer| answer.status, |_| 0))).collect()
}

#[test]
fn what_makes_no_sense_is_refused_by_itself() {
    assert_eq!(statuses(""), []);
    assert_eq!(statuses("0a00"), [(0, 400)], "nothing is asked for");
    assert_eq!(statuses("0a04 0801 3200"), [(1, 400)], "an operation of a later version");
    assert_eq!(
        statuses("0a08 0801 2805 7a00 7801 1203 616263"),
        [(1, 0)],
        "unknown fields beside it, in it and after it"
    );
    assert_eq!(statuses("0a05 0802 1201ff"), [(2, 400)], "a put that cannot be read");
    assert_eq!(statuses("0a09 0802 1205 0a03 1201ff"), [(2, 400)], "tags that cannot be read");
    assert_eq!(statuses("0a07 0803 1a03 0a0101"), [(3, 400)], "an index below 0");
    assert_eq!(statuses("0a07 0803 1a03 0a01ff"), [(3, 400)], "a step without its end");
    assert_eq!(statuses("0a06 0804 1a02 080a"), [(4, 0)], "steps that are not packed");
    assert_eq!(statuses("0a08 0805 2204 1202 6f6f"), [(5, 400)], "a code in another grammar");
    assert_eq!(statuses("0a10 0805 220c 0a010a 1200 1a00 20 81dddb01"), [(5, 400)], "a delay of more than an hour");
    assert_eq!(statuses("0a08 0802 1204 0a02 4007"), [(2, 400)], "what is settled, and not of what");
    for malformed in ["ff", "0a", "0a05", "0b", "0a02 08ff", "0a01 0b"] {
        assert_eq!(requests(hex(malformed).into()), Err(Malformed), "{malformed}");
    }
}

#[test]
fn limits_hold_for_a_message_and_name_the_request() {
    let entries = |count| one(ClientCommand::Put(vec![PutEntry::default(); count], false));
    let refused = |requests_: &[ClientRequest]| -> Vec<u16> {
        let all = requests(written(requests_)).unwrap();
        all.into_iter().map(|(_, operation)| operation.map_or_else(|answer| answer.status, |_| 0)).collect()
    };
    assert_eq!(refused(&[entries(9_999), entries(1), entries(1)]), [0, 0, 413]);
    let commit = |count| one(ClientCommand::Commit(vec![Index(1); count]));
    assert_eq!(refused(&[commit(10_000), commit(1), one(ClientCommand::Window(1))]), [0, 413, 0]);
    let large =
        |bytes| one(ClientCommand::Put(vec![PutEntry { data: vec![0; bytes].into(), ..PutEntry::default() }], false));
    assert_eq!(refused(&[large(limits::BATCH_BYTES_MAX - 100)]), [0]);
    assert_eq!(refused(&[large(limits::BATCH_BYTES_MAX), one(ClientCommand::Window(1))]), [413, 413]);
    assert_eq!(requests(hex("0a00").repeat(10_001).into()), Err(Malformed));
}

fn once() -> impl Strategy<Value = Option<Dedup>> {
    prop_oneof![
        Just(None),
        Just(Some(Dedup::RequestId)),
        any::<(u64, u64)>()
            .prop_map(|(index, settled_below)| Some(source(index.max(settled_below), index.min(settled_below)))),
    ]
}

fn any_command() -> impl Strategy<Value = ClientCommand> {
    let tag = ("[^_]{1,5}", any::<String>());
    let entry = (proptest::collection::btree_map(tag.0, tag.1, 0..3), any::<Vec<u8>>(), any::<Option<i64>>(), once())
        .prop_map(|(tags, data, priority, once)| PutEntry { tags, data: data.into(), priority, once });
    let indexes = || proptest::collection::vec((0..=i64::MAX as u64).prop_map(Index), 0..20);
    prop_oneof![
        (proptest::collection::vec(entry, 0..5), any::<bool>())
            .prop_map(|(entries, ids)| ClientCommand::Put(entries, ids)),
        indexes().prop_map(ClientCommand::Commit),
        (indexes(), "([A-Z][a-z]{0,3})?", "[a-z ]{0,20}", 0..=limits::DELAY_MS_MAX).prop_map(
            |(indexes, code, reason, delay_ms)| ClientCommand::Reject(indexes, Rejection { code, reason, delay_ms })
        ),
        any::<u32>().prop_map(ClientCommand::Window),
    ]
}

fn any_answer() -> impl Strategy<Value = ServerAnswer> {
    let parts = any::<(u64, u16, String, u64, Vec<String>, Vec<u64>)>();
    parts.prop_map(|(id, status, text, first, request_ids, repeated)| {
        let indexes = repeated.iter().map(|index| Index(index >> 1)).collect();
        ServerAnswer { id, status, text, first_index: Index(first), request_ids, indexes, repeated }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn requests_come_back(all in proptest::collection::vec((any::<u64>(), any_command()), 0..6)) {
        let request = |(id, command): &(u64, ClientCommand)| ClientRequest { id: *id, command: command.clone() };
        let sent: Vec<_> = all.iter().map(request).collect();
        let message = written(&sent);
        let expected: Vec<_> = all.into_iter().map(|(id, command)| (id, Ok(command))).collect();
        prop_assert_eq!(requests(message).unwrap(), expected);
    }

    #[test]
    fn answers_come_back(answers in proptest::collection::vec(any_answer(), 0..4)) {
        let mut message = ServerMessage::default();
        answers.iter().for_each(|answered| message.answer(answered));
        let expected: Vec<_> = answers.into_iter().map(ServerEvent::Answered).collect();
        prop_assert_eq!(events(message.0.into()).unwrap(), expected);
    }

    #[test]
    fn any_bytes_are_requests_or_refused(bytes in any::<Vec<u8>>()) {
        let _ = events(bytes.clone().into());
        for (_, operation) in requests(bytes.into()).unwrap_or_default() {
            if let Err(answer) = operation {
                prop_assert!((400..500).contains(&answer.status) && answer.body.len() > 10);
            }
        }
    }

    #[test]
    fn damaged_messages_are_requests_or_refused(
        all in proptest::collection::vec(any_command(), 1..4),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let sent: Vec<_> = all.into_iter().map(|command| ClientRequest { id: 1, command }).collect();
        let mut message = written(&sent).to_vec();
        let at = at.index(message.len());
        message[at] = byte;
        if cut {
            message.truncate(at);
        }
        let _ = requests(message.into());
    }
}
