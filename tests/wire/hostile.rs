//! Whatever a client sends is a call or a 4xx with a text.

use edgequeue::queue::limits;
use edgequeue::wire::http::parameters::RESERVED;
use edgequeue::wire::http::{address, auth};
use edgequeue::wire::{Call, CallPurpose, Operation, RequestParts, Transport, parse};
use proptest::collection::btree_map;
use proptest::prelude::*;

const HEADERS: [&str; 9] = [
    "Authorization",
    "Accept",
    "Upgrade",
    "Sec-WebSocket-Protocol",
    "Content-Type",
    "X-EAS-QueueService-Uid",
    "X-EAS-QueueService-Redis-Gid",
    "X-EAS-QueueService-Priority",
    "X-EAS-QueueService-Access-Rear",
];

/// What must hold of every call, however it came about.
fn check(call: &Call) {
    assert!(!call.address.service.is_empty() && !call.address.service.contains('/'));
    for name in [&call.consumer.group, &call.consumer.user] {
        assert!(!name.is_empty() && name.len() <= limits::NAME_BYTES_MAX);
    }
    let operation = match &call.purpose {
        CallPurpose::Operation(operation) => operation,
        CallPurpose::Watch { watch, transport } => {
            let least = if *transport == Transport::Session { 0 } else { 1 };
            assert!((least..=limits::WINDOW_MAX).contains(&watch.window));
            return;
        }
    };
    match operation {
        Operation::Put { tags, .. } => {
            assert!(tags.len() <= limits::TAGS_MAX);
            assert!(tags.keys().all(|key| !key.is_empty() && !key.starts_with('_')));
            let stamp = if call.address.sink { "ts@sink" } else { "ts@source" };
            assert_eq!(tags[stamp], "7");
        }
        Operation::Get { get, .. } => {
            assert!((1..=limits::GET_ENTRIES_MAX).contains(&get.count) && get.wait_ms <= limits::WAIT_MS_MAX);
        }
        Operation::Batch { batch, .. } => {
            assert!(batch.defaults.tags.len() <= limits::TAGS_MAX);
        }
        Operation::Commit { indexes } | Operation::Reject { indexes, .. } | Operation::Remove { indexes } => {
            assert!((1..=limits::INDEXES_MAX).contains(&indexes.len()));
        }
        _ => {}
    }
    let _ = operation.form(&call.address, call.side);
}

fn run(method: &str, path: &str, query: &str, headers: &[(&str, String)]) -> Result<(), TestCaseError> {
    let header =
        |name: &str| headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, text)| text.clone());
    let head = RequestParts { method, path, query, header: &header };
    let _ = address::is_api(&head);
    if let Err(answer) = auth::check(Some("secret"), header("Authorization").as_deref()) {
        prop_assert_eq!(answer.status, 401);
    }
    match parse(&head, 7) {
        Ok(call) => check(&call),
        Err(answer) => {
            prop_assert!((400..500).contains(&answer.status) && answer.body.len() > 10, "{:?}", answer);
            prop_assert!(answer.body.len() < 1000, "an error must not throw everything back: {:?}", answer);
            for (_, value) in &answer.headers {
                prop_assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            }
        }
    }
    Ok(())
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("true".to_string()),
        Just("false".to_string()),
        Just("-1".to_string()),
        Just("18446744073709551615".to_string()),
        "[0-9]{1,22}",
        "[0-9,]{0,12}",
        "-?[0-9.]{0,6}(ns|us|ms|s|m|h)?",
        any::<String>(),
    ]
}

fn parameter() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        8 => proptest::sample::select(RESERVED.to_vec()).prop_map(String::from),
        2 => "[a-zA-Z@:_]{0,6}",
        1 => any::<String>(),
    ];
    (name, value()).prop_map(|(name, value)| format!("{name}={value}"))
}

fn headers() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let text = prop_oneof![
        Just("websocket".to_string()),
        Just("a, edgequeue.v1".to_string()),
        Just("application/json".to_string()),
        Just("application/vnd.google.protobuf".to_string()),
        value()
    ];
    proptest::collection::vec((proptest::sample::select(HEADERS.to_vec()), text), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_strings(method in any::<String>(), path in any::<String>(), query in any::<String>(), headers in headers()) {
        run(&method, &path, &query, &headers)?;
    }

    #[test]
    fn nearly_right_requests(
        method in proptest::sample::select(vec!["GET", "POST", "PUT", "DELETE"]),
        path in "/(sink)?|/api/predict/[a-z.%_]{1,5}(/sink)?(/[a-z%]{0,3})?",
        parameters in proptest::collection::vec(parameter(), 0..5),
        headers in headers(),
    ) {
        run(method, &path, &parameters.join("&"), &headers)?;
    }

    #[test]
    fn tags_survive_encoding(pairs in btree_map("[^_\\p{Cc}][^\\p{Cc}]{0,5}", any::<String>(), 0..5)) {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&pairs);
        let parsed = edgequeue::wire::http::parameters::Parameters::parse(&query.finish());
        prop_assert_eq!(parsed.map(|query| query.tags), Ok(pairs));
    }
}
