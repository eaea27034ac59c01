//! Addresses, parameters, headers and methods, one rule each.

use super::{operation, refusal, send, tags};
use edgequeue::queue::entry::{Filter, Index, Priority};
use edgequeue::queue::event::{Get, Start};
use edgequeue::queue::limits;
use edgequeue::queue::store::Side;
use edgequeue::wire::http::{address, auth, parameters, settings};
use edgequeue::wire::{Address, CallPurpose, Encoding, EntryEncoding, Operation, RequestParts};

fn get(query: &str) -> (Get, EntryEncoding) {
    match operation(&format!("GET /api/predict/s?{query}")) {
        Operation::Get { get, encoding } => (get, encoding),
        other => panic!("{query}: {other:?}"),
    }
}

#[test]
fn the_reference_knows_every_name() {
    let text = include_str!("../../docs/protocol.md");
    for name in parameters::RESERVED.into_iter().chain(settings::keys()) {
        assert!(text.contains(&format!("`{name}`")) || text.contains(&format!("{name}=")), "{name}");
    }
}

#[test]
fn addresses() {
    for (path, service, sink, suffix) in [
        ("/", "default", false, ""),
        ("/sink", "default", true, ""),
        ("/sink/", "default", true, ""),
        ("/api/predict/svc", "svc", false, ""),
        ("/api/predict/svc/", "svc", false, ""),
        ("/api/predict/svc/sink", "svc", true, ""),
        ("/api/predict/svc/sink/", "svc", true, ""),
        ("/api/predict/svc/sinks", "svc", false, "/sinks"),
        ("/api/predict/svc/a/b%20c/", "svc", false, "/a/b%20c/"),
        ("/api/predict/svc/sink/a", "svc", true, "/a"),
        ("/api/predict/svc/a/sink", "svc", false, "/a/sink"),
        ("/api/predict/sink", "sink", false, ""),
        ("/api/predict/test_group.q-1", "test_group.q-1", false, ""),
        ("/api/predict/a%5Fb", "a_b", false, ""),
    ] {
        let expected = Address { service: service.into(), sink, suffix: suffix.into() };
        assert_eq!(Address::parse(path), Ok(expected), "{path}");
    }
    let long = format!("/api/predict/{}", "a".repeat(limits::NAME_BYTES_MAX + 1));
    for (path, status) in [
        ("/api/predict/", 404),
        ("/api/predict", 404),
        ("/other", 404),
        ("/sink/a", 404),
        ("/index.html", 404),
        ("/api/predict//sink", 400),
        ("/api/predict/a%2Fsink", 400),
        ("/api/predict/a%00b", 400),
        ("/api/predict/%", 400),
        ("/api/predict/%ff", 400),
        ("/api/predict/..", 400),
        ("/api/predict/a+b", 400),
        ("/api/predict/%E4%B8%AD", 400),
        (long.as_str(), 400),
    ] {
        assert_eq!(Address::parse(path).expect_err(path).status, status, "{path}");
    }
}

#[test]
fn bare_paths_are_shared_with_the_web_page() {
    let api = |method, path, query, header: &dyn Fn(&str) -> Option<String>| {
        address::is_api(&RequestParts { method, path, query, header })
    };
    let none = |_: &str| None;
    let token = |name: &str| (name == "Authorization").then(String::new);
    for (method, path, query, expected) in [
        ("GET", "/", "", false),
        ("GET", "/", "utm=1&x_attrs_=1", false),
        ("HEAD", "/", "", false),
        ("GET", "/", "_attrs_=true", true),
        ("GET", "/sink", "a=b&_index_=0", true),
        ("GET", "/sink", "a=b&%5Findex_=0", true),
        ("POST", "/", "", true),
        ("PUT", "/", "", true),
        ("DELETE", "/sink", "", true),
        ("POST", "/index.html", "", false),
        ("GET", "/index.html", "_attrs_=true", false),
        ("GET", "/api/predict/svc", "", true),
        ("OPTIONS", "/api/predict/svc", "", true),
    ] {
        assert_eq!(api(method, path, query, &none), expected, "{method} {path}?{query}");
    }
    assert!(api("GET", "/", "", &token));
    assert!(!api("GET", "/app.js", "", &token));
}

#[test]
fn methods() {
    for (line, allow) in [
        ("PATCH /api/predict/s", "GET, POST, PUT, DELETE"),
        ("HEAD /api/predict/s", "GET, POST, PUT, DELETE"),
        ("get /api/predict/s", "GET, POST, PUT, DELETE"),
        ("POST /api/predict/s?_attrs_=true", "GET"),
        ("DELETE /api/predict/s?_watch_=true", "GET"),
        ("GET /api/predict/s?_trunc_=true&_index_=1", "DELETE"),
        ("GET /api/predict/s?_negative_=true&_indexes_=1", "PUT"),
        ("PUT /api/predict/s?_eos_=true", "POST"),
        ("POST /api/predict/s?_settings_=true", "GET, PUT"),
    ] {
        let answer = send(line).expect_err(line);
        assert_eq!((answer.status, answer.headers), (405, vec![("Allow", allow.to_string())]), "{line}");
    }
    assert!(send("POST /api/predict/s?_attrs_=false").is_ok());
    assert_eq!(refusal("GET /api/predict/s?_attrs_=true&_count_=true").0, 400);
    // Sub-paths: only a POST goes to whoever processes entries; the rest are operations if they say so.
    for method in ["GET", "PUT", "DELETE"] {
        assert_eq!(refusal(&format!("{method} /api/predict/s/foo?a=b")).0, 404);
    }
    let call = send("GET /api/predict/s/foo?_attrs_=true").unwrap();
    assert_eq!(call.address.queue_name(), "s");
}

#[test]
fn get_defaults_and_bounds() {
    let standard = Get { start: Start::At(Index(0)), filter: Filter::default(), count: 1, remove: true, wait_ms: 0 };
    assert_eq!(get(""), (standard, EntryEncoding::Raw));
    assert_eq!(get("_length_=99999999999").0.count, limits::GET_ENTRIES_MAX);
    assert_eq!(get("_timeout_=99h").0.wait_ms, limits::WAIT_MS_MAX - 100);
    assert_eq!(get("_timeout_=999ms").0.wait_ms, 999);
    assert_eq!(get("_timeout_=1s").0.wait_ms, 900);
    assert_eq!(get("_index_=9007199254740993").0.start, Start::At(Index(9_007_199_254_740_993)));
    assert_eq!(get("_index_=-1").0.start, Start::Newest);
    assert_eq!(get("_raw_=0").1, EntryEncoding::List(Encoding::Json));
    assert_eq!(get("&&a&b=&c=1=2&_delete_=x&_window_=x").0.filter.0, tags([("a", ""), ("b", ""), ("c", "1=2")]));
    assert_eq!(get("a=1&a=1&_length_=2&_length_=2").0.count, 2);
    for (query, text) in [
        ("_length_=0", "_length_ must be at least 1"),
        ("_length_=-3", "_length_ must be a whole number from 0, not \"-3\""),
        ("_index_=-2", "_index_ must be a whole number from 0, or -1 for the newest, not \"-2\""),
        ("_index_=18446744073709551616", "_index_ must be a whole number"),
        ("_index_=1.5", "_index_ must be a whole number"),
        ("_index_=", "_index_ must be a whole number"),
        ("_timeout_=soon", "_timeout_ must be a duration such as"),
        ("_timeout_=-1s", "_timeout_ must not be negative"),
        ("_raw_=maybe", "_raw_ must be true or false, not \"maybe\""),
        ("_attrs_", "_attrs_ must be true or false, not \"\""),
        ("_indx_=1", "\"_indx_\" is not a parameter of this service"),
        ("_tag=1", "\"_tag\" is not a parameter of this service; names that begin with _ are reserved"),
        ("_code_=OOM", "_code_ goes into the body of a negative commit"),
        ("_index_=1&_index_=2", "_index_ is given twice with different values"),
        ("a=1&a=2", "the tag \"a\" is given twice with different values"),
        ("=1", "\"\" is not a name for a tag"),
        ("a%00=1", "\"a\\0\" is not a name for a tag"),
        ("a=%zz", "\"%zz\" has a % without two hexadecimal digits"),
        ("a=%f", "\"%f\" has a % without"),
        ("a=%ff", "\"%ff\" is not UTF-8"),
    ] {
        let (status, shown) = refusal(&format!("GET /api/predict/s?{query}"));
        assert!(status == 400 && shown.starts_with(text), "{query}: {shown}");
    }
}

#[test]
fn accept() {
    for (accept, expected) in [
        ("application/vnd.google.protobuf", Encoding::Protobuf),
        ("text/html, Application/Vnd.Google.Protobuf;q=0.9", Encoding::Protobuf),
        ("*/*", Encoding::Json),
        ("", Encoding::Json),
        ("application/x-flatbuffers", Encoding::Json),
        ("application/vnd.google.protobufs", Encoding::Json),
    ] {
        let call = send(&format!("GET /api/predict/s?_attrs_=true\nAccept: {accept}")).unwrap();
        assert_eq!(call.purpose, CallPurpose::Operation(Operation::Attributes { encoding: expected }), "{accept}");
    }
    let line = "GET /api/predict/s?_raw_=true\naccept: application/vnd.google.protobuf";
    assert!(matches!(operation(line), Operation::Get { encoding: EntryEncoding::Raw, .. }));
}

#[test]
fn identity() {
    let consumer = |headers: &str| {
        let consumer = send(&format!("GET /api/predict/s?_attrs_=true\n{headers}")).unwrap().consumer;
        (consumer.group, consumer.user)
    };
    let pair = |group: &str, user: &str| (group.to_string(), user.to_string());
    assert_eq!(consumer(""), pair("default_group", "default_user"));
    assert_eq!(consumer("x-eas-queueservice-uid: u"), pair("default_group", "u"));
    assert_eq!(consumer("X-Eas-Queueservice-Redis-Gid: g\nX-EAS-QueueService-Gid: h"), pair("h", "default_user"));
    assert_eq!(consumer("X-EAS-QueueService-Redis-Uid: r\nX-EAS-QueueService-Uid:"), pair("default_group", "r"));
    let long = "a".repeat(limits::NAME_BYTES_MAX + 1);
    let (status, text) = refusal(&format!("GET /api/predict/s?_attrs_=true\nX-EAS-QueueService-Redis-Gid: {long}"));
    assert!(status == 400 && text.contains("X-EAS-QueueService-Redis-Gid must be at most 128 bytes"), "{text}");
    assert_eq!(refusal("GET /api/predict/s\nX-EAS-QueueService-Uid: a\u{7f}b").0, 400);
    let side = |value: &str| send(&format!("GET /\nX-EAS-QueueService-Access-Rear: {value}")).unwrap().side;
    assert_eq!((side("true"), side("1"), side("false"), side("")), (Side::Rear, Side::Rear, Side::Main, Side::Main));
    assert_eq!(refusal("GET /\nX-EAS-QueueService-Access-Rear: yes").0, 400);
}

#[test]
fn put_priorities_and_tags() {
    let put = |line: &str| match operation(line) {
        Operation::Put { priority, tags, .. } => (priority, tags),
        other => panic!("{line}: {other:?}"),
    };
    let priority = |line: &str| put(line).0;
    assert_eq!(priority("POST /?_priority_=3\nX-EAS-QueueService-Priority: 1"), Priority(3));
    assert_eq!(priority("POST /\nX-EAS-QueueService-Priority: 7"), Priority(7));
    assert_eq!(priority("POST /\nX-EAS-QueueService-Priority:"), Priority(0));
    assert_eq!(priority("POST /?_priority_=-9223372036854775808"), Priority(i64::MIN));
    assert_eq!(refusal("POST /?_priority_=9223372036854775808").0, 400);
    assert!(refusal("POST /\nX-EAS-QueueService-Priority: high").1.contains("X-EAS-QueueService-Priority must be"));

    // An empty request id is none; one that could not be sent back is refused.
    assert!(!put("POST /?requestId=").1.contains_key("requestId"));
    assert_eq!(put("POST /?requestId=mine").1["requestId"], "mine");
    assert!(refusal("POST /?requestId=a%0D%0ASet-Cookie:x").1.starts_with("requestId must not contain control"));
    // The path is what the request says, not what a tag says.
    assert_eq!(put("POST /api/predict/s/a/b?Path=/c").1["Path"], "/a/b");
    assert_eq!(put("POST /api/predict/s?Path=/c").1["Path"], "/c");

    let many = |count: usize| (0..count).map(|number| format!("t{number}=1&")).collect::<String>();
    assert_eq!(put(&format!("POST /?{}", many(limits::TAGS_MAX - 1))).1.len(), limits::TAGS_MAX);
    assert_eq!(refusal(&format!("POST /?{}", many(limits::TAGS_MAX))).0, 400);
    for (key, value, fits) in [(128, 2048, true), (129, 1, false), (1, 2049, false)] {
        let line = format!("POST /?{}={}", "k".repeat(key), "v".repeat(value));
        assert_eq!(send(&line).is_ok(), fits, "{key} {value}");
    }
    let large: String = (0..9).map(|number| format!("t{number}={}&", "v".repeat(2000))).collect();
    assert!(refusal(&format!("POST /?{large}")).1.contains("the tags have"));
    assert!(refusal(&format!("POST /api/predict/s/{}", "p".repeat(2048))).1.contains("\"Path\" has 2049 bytes"));
}

#[test]
fn watches() {
    let watch = |query: &str| match send(&format!("GET /?_watch_=true&{query}")).expect(query).purpose {
        CallPurpose::Watch { watch, .. } => watch,
        other => panic!("{query}: {other:?}"),
    };
    let standard = watch("");
    assert_eq!((standard.window, standard.auto_commit, standard.index_only), (limits::WINDOW_DEFAULT, false, false));
    assert_eq!(standard.start, Start::At(Index(0)));
    assert_eq!(watch("_index_=-1").start, Start::Newest);
    assert_eq!(watch("_window_=99999999999").window, limits::WINDOW_MAX);
    assert_eq!(watch("_window_=0&_auto_commit_=true").window, 1);
    assert!(refusal("GET /?_watch_=true&_window_=0").1.starts_with("_window_ must be at least 1"));
    assert_eq!(refusal("GET /?_watch_=true&_window_=-5").0, 400);
    assert!(refusal("GET /\nUpgrade: WebSocket").1.contains("_watch_=true"));
}

#[test]
fn indexes_are_a_union() {
    let removed = |query: &str| match operation(&format!("DELETE /?{query}")) {
        Operation::Remove { indexes } => indexes.iter().map(|index| index.0).collect::<Vec<_>>(),
        other => panic!("{query}: {other:?}"),
    };
    assert_eq!(removed("_index_=5&_indexes_=1,2,5&_indexes_=2%2C9&_index_=4"), [5, 4, 1, 2, 9]);
    assert_eq!(removed("_index_=18446744073709551615"), [u64::MAX]);
    for line in [
        "DELETE /",
        "DELETE /?_indexes_=",
        "DELETE /?_indexes_=1,",
        "DELETE /?_indexes_=1,,2",
        "DELETE /?_indexes_=1, 2",
        "DELETE /?_index_=-1",
        "DELETE /?_trunc_=true",
        "DELETE /?_trunc_=true&_index_=-1",
        "PUT /",
        "PUT /?_indexes_=1,x",
        "PUT /?_negative_=true",
        "GET /?_search_=true",
        "GET /?_search_=true&_index_=-1",
        "GET /?_count_=true&_priority_=x",
    ] {
        assert_eq!(refusal(line).0, 400, "{line}");
    }
    let many = |count: usize| vec!["1"; count].join(",");
    assert!(send(&format!("PUT /?_indexes_={}", many(limits::INDEXES_MAX))).is_ok());
    assert_eq!(refusal(&format!("PUT /?_indexes_={}", many(limits::INDEXES_MAX + 1))).0, 400);
    assert_eq!(operation("PUT /?_settings_=true"), Operation::Configure);
    assert_eq!(operation("GET /?_settings_=true"), Operation::Settings);
}

#[test]
fn tokens() {
    for sent in ["secret", "Bearer secret", "bearer  secret"] {
        assert_eq!(auth::check(Some("secret"), Some(sent)), Ok(()), "{sent}");
    }
    assert_eq!(auth::check(Some("Bearer x"), Some("Bearer x")), Ok(()));
    for sent in [None, Some(""), Some("Secret"), Some("secre"), Some("secrets"), Some("Basic secret"), Some("Bearer ")]
    {
        let answer = auth::check(Some("secret"), sent).unwrap_err();
        assert_eq!((answer.status, answer.headers), (401, vec![("WWW-Authenticate", "Bearer".into())]), "{sent:?}");
    }
    for token in [None, Some("")] {
        for sent in [None, Some(""), Some("secret"), Some("Bearer ")] {
            let answer = auth::check(token, sent).unwrap_err();
            assert_eq!(answer.status, 403);
            assert!(String::from_utf8_lossy(&answer.body).contains("has no EDGEQUEUE_TOKEN"));
        }
    }
}
