//! What became of a request: the calls, and their answers in bytes.

use super::{operation, refusal, send, tags};
use edgequeue::queue::effect::Reply;
use edgequeue::queue::entry::{Index, Priority};
use edgequeue::queue::event::ConsumerId;
use edgequeue::queue::stats::{EntryStatus, GroupStatus};
use edgequeue::queue::store::Side;
use edgequeue::wire::{Answer, Operation, Progress, answer};
use proptest::prelude::*;

fn whereabouts(groups: Vec<(&str, GroupStatus)>) -> EntryStatus {
    EntryStatus {
        index: Index(7),
        priority: Priority(0),
        put_ms: 1_000,
        tags: tags([("lastCode", "500"), ("lastReason", "no memory")]),
        ahead: 2,
        groups: groups.into_iter().map(|(name, standing)| (name.into(), standing)).collect(),
    }
}

fn running() -> GroupStatus {
    let consumer = ConsumerId { group: "svc".into(), user: "edge".into() };
    GroupStatus::Running { consumer, attempt: 2, since_ms: 1_700_000_000_000 }
}

fn queued(ahead: u64) -> GroupStatus {
    let (code, reason) = ("503".into(), "\"busy\"".into());
    GroupStatus::Queued { ahead, attempts: 1, not_before_ms: 1_700_000_005_000, code, reason }
}

fn text(answer: &Answer) -> (u16, String) {
    (answer.status, String::from_utf8(answer.body.to_vec()).unwrap())
}

/// The answer to a request line, should the queue find that.
fn answered(line: &str, reply: Reply) -> (u16, String) {
    let call = send(line).expect(line);
    let form = operation(line).form(&call.address, call.side);
    let told = answer(&form, reply);
    assert_eq!(told.content_type.as_deref(), Some("application/json"));
    text(&told)
}

#[test]
fn calls() {
    let request_id = || "a b".to_string();
    assert_eq!(
        operation("GET /api/predict/s?_status_=true&requestId=a+b"),
        Operation::Status { request_id: request_id() }
    );
    assert_eq!(
        operation("DELETE /api/predict/s?_cancel_=1&requestId=a%20b"),
        Operation::Cancel { request_id: request_id() }
    );
    for line in ["GET /?_status_=true", "GET /?_status_=true&requestId=", "DELETE /?_cancel_=true&id=1"] {
        let (status, text) = refusal(line);
        assert!(status == 400 && text.contains("needs requestId"), "{line}: {text}");
    }
    assert_eq!(refusal("DELETE /?_status_=true&requestId=a").0, 405);
    assert_eq!(refusal("GET /?_cancel_=true&requestId=a").0, 405);
    assert_eq!(refusal("GET /?_cancel_=true&_status_=true&requestId=a").0, 405);
    assert_eq!(refusal("DELETE /?_cancel_=true&_trunc_=true&requestId=a").0, 400);
    // Without the marker it would be a delete or a get.
    assert_eq!(refusal("DELETE /?requestId=a").0, 400);
}

#[test]
fn puts() {
    let put = |line: &str| match operation(line) {
        Operation::Put { tags, once, .. } => (tags.get("callback").cloned(), once),
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(put("POST /?requestId=a"), (None, false));
    assert_eq!(put("POST /?requestId=a&_once_=true"), (None, true));
    let url = Some("https://a.example/x?y=1".to_string());
    assert_eq!(put("POST /?_callback_=https%3A%2F%2Fa.example%2Fx%3Fy%3D1"), (url.clone(), false));
    assert_eq!(put("POST /?callback=https://a.example/x?y=1"), (url, false));
    assert_eq!(put("POST /?_callback_="), (None, false));
    let (status, text) = refusal("POST /?_once_=true");
    assert!(status == 400 && text.contains("needs the tag requestId"), "{text}");
    assert_eq!(refusal("POST /?_once_=true&requestId=").0, 400);
    for url in ["a.example", "ftp://a", "https://u:p@a/", "https://a/%20%00 ", "https://"] {
        let (status, text) = refusal(&format!("POST /?_callback_={}", url.replace('%', "%25").replace(' ', "%20")));
        assert!(status == 400 && text.starts_with("the callback "), "{url}: {text}");
    }
    match operation("PUT /?_indexes_=1&_negative_=true&_delay_=1m30s") {
        Operation::Reject { delay_ms, .. } => assert_eq!(delay_ms, Some(90_000)),
        other => panic!("{other:?}"),
    }
    assert_eq!(refusal("PUT /?_indexes_=1&_negative_=true&_delay_=61m").0, 400);
}

#[test]
fn statuses_in_bytes() {
    let input = "GET /api/predict/svc?_status_=true&requestId=a%22b";
    let found = |groups| Reply::Found(Some(whereabouts(groups)));
    for (line, reply, status, body) in [
        (input, Reply::Found(None), 404, r#"{"status":"unknown","requestId":"a\"b"}"#),
        (input, found(vec![]), 200, r#"{"status":"queued","requestId":"a\"b","index":7,"position":3,"attempts":0}"#),
        (
            input,
            found(vec![("other", queued(0)), ("svc", queued(4))]),
            200,
            concat!(
                r#"{"status":"queued","requestId":"a\"b","index":7,"position":5,"attempts":1,"#,
                r#""notBefore":1700000005000,"code":"503","reason":"\"busy\""}"#
            ),
        ),
        (
            input,
            found(vec![("other", running()), ("svc", queued(4))]),
            200,
            concat!(
                r#"{"status":"running","requestId":"a\"b","index":7,"attempt":2,"since":1700000000000,"#,
                r#""consumer":"svc.edge"}"#
            ),
        ),
        (
            "GET /api/predict/svc?_status_=true&requestId=r\nX-EAS-QueueService-Access-Rear: true",
            found(vec![]),
            200,
            r#"{"status":"failed","requestId":"r","code":"500","reason":"no memory","rearIndex":7}"#,
        ),
        (
            "GET /api/predict/svc/sink?_status_=true&requestId=r",
            found(vec![]),
            200,
            r#"{"status":"failed","requestId":"r","code":"500","reason":"no memory","sinkIndex":7}"#,
        ),
        (
            "GET /api/predict/svc/sink?_status_=true&requestId=r",
            Reply::Found(Some(EntryStatus { tags: tags([]), ..whereabouts(vec![]) })),
            200,
            r#"{"status":"done","requestId":"r","sinkIndex":7}"#,
        ),
        (
            "DELETE /?_cancel_=true&requestId=r",
            Reply::Cancelled(Some(Index(7))),
            200,
            r#"{"status":"cancelled","requestId":"r","index":7}"#,
        ),
        ("DELETE /?_cancel_=true&requestId=r", Reply::Cancelled(None), 404, r#"{"status":"unknown","requestId":"r"}"#),
    ] {
        assert_eq!(answered(line, reply), (status, format!("{body}\n")), "{line}");
    }
    assert_eq!(send("GET /?_status_=true&requestId=r\nX-EAS-QueueService-Access-Rear: true").unwrap().side, Side::Rear);
}

#[test]
fn what_cannot_be_cancelled_says_why() {
    let failed =
        |sink, rear| Progress::Failed { code: "500".into(), reason: String::new(), sink_index: sink, rear_index: rear };
    let running = Progress::Running { index: Index(7), attempt: 1, since_ms: 5, consumer: "svc.edge".into() };
    for (progress, sentence) in [
        (Progress::Done { sink_index: Index(9) }, "its result is in the sink, entry 9"),
        (failed(Some(Index(9)), Some(Index(2))), "it has failed, and the sink says so, entry 9"),
        (failed(None, Some(Index(2))), "it has failed and is in the rear queue, entry 2"),
        (running, "its result is just being stored; look for it in the sink"),
    ] {
        assert_eq!(text(&progress.cannot_cancel("r")), (409, format!("the request cannot be cancelled: {sentence}")));
    }
    assert_eq!(text(&Progress::Unknown.cannot_cancel("r")).0, 404);
}

fn any_progress() -> impl Strategy<Value = Progress> {
    let index = || (1..=u64::MAX).prop_map(Index);
    prop_oneof![
        (index(), any::<(u64, u32, u64, String, String)>()).prop_map(
            |(index, (position, attempts, not_before_ms, code, reason))| {
                Progress::Queued { index, position, attempts, not_before_ms, code, reason }
            }
        ),
        (index(), any::<(u32, u64, String)>()).prop_map(|(index, (attempt, since_ms, consumer))| Progress::Running {
            index,
            attempt,
            since_ms,
            consumer
        }),
        index().prop_map(|sink_index| Progress::Done { sink_index }),
        (any::<(String, String)>(), proptest::option::of(index()), proptest::option::of(index())).prop_map(
            |((code, reason), sink_index, rear_index)| Progress::Failed { code, reason, sink_index, rear_index }
        ),
        Just(Progress::Unknown),
    ]
}

proptest! {
    #[test]
    fn statuses_come_back(progress in any_progress(), request_id in any::<String>()) {
        let json = progress.to_json(&request_id);
        prop_assert_eq!(Progress::parse(json.as_bytes()), Some(progress));
    }

    #[test]
    fn any_bytes_are_a_status_or_none(body in any::<Vec<u8>>(), text in any::<String>()) {
        let _ = (Progress::parse(&body), Progress::parse(text.as_bytes()));
    }
}
