//! Requests exactly as the vendor's page and the official clients send them.

use super::{NOW_MS, operation, send, tags};
use edgequeue::queue::entry::{Filter, Index, Priority, Tags};
use edgequeue::queue::event::{ConsumerId, Get, Start, Watch};
use edgequeue::queue::store::Side;
use edgequeue::wire::{Address, CallPurpose, Encoding, EntryEncoding, Operation, Transport};

const NOW: &str = "1700000000123";
const IDENTITY: &str = "X-EAS-QueueService-Redis-Uid: 6f1c\nX-EAS-QueueService-Redis-Gid: eas";
const PROTOBUF: &str = "Accept: application/vnd.google.protobuf";

fn get() -> Get {
    Get { start: Start::At(Index(0)), filter: Filter::default(), count: 1, remove: true, wait_ms: 0 }
}

fn indexes(numbers: &[u64]) -> Vec<Index> {
    numbers.iter().copied().map(Index).collect()
}

fn put(priority: i64, tags: Tags) -> Operation {
    Operation::Put { priority: Priority(priority), tags, once: false }
}

/// `curl` lines of "Access the queue service"; curl adds `Accept: */*` and, with `-d`, a content type.
#[test]
fn curl_of_the_vendor_page() {
    let form = "Header:Content-Type";
    let curl = "Authorization: token\nAccept: */*\nUser-Agent: curl/8";
    let data = format!("{curl}\nContent-Type: application/x-www-form-urlencoded");
    let source = |extra: &[(&str, &str)]| {
        let mut all = tags([("ts@source", NOW), (form, "application/x-www-form-urlencoded")]);
        all.extend(extra.iter().map(|(key, value)| (key.to_string(), value.to_string())));
        all
    };
    let svc = "/api/predict/qservice";
    for (line, expected) in [
        (format!("POST {svc}\n{data}"), put(0, source(&[]))),
        (format!("POST {svc}?_priority_=1\n{data}"), put(1, source(&[]))),
        (format!("POST {svc}?task_id=task_a\n{data}"), put(0, source(&[("task_id", "task_a")]))),
        (
            format!("POST {svc}/api_prompt?task_id=task_a\n{data}"),
            put(0, source(&[("task_id", "task_a"), ("Path", "/api_prompt")])),
        ),
        (format!("POST {svc}/sdapi/v1/txt2img\n{data}"), put(0, source(&[("Path", "/sdapi/v1/txt2img")]))),
        (
            format!("GET {svc}/sink?_index_=0&_timeout_=0\n{curl}"),
            Operation::Get { get: get(), encoding: EntryEncoding::Raw },
        ),
        (
            format!("GET {svc}/sink?requestId=a64\n{curl}"),
            Operation::Get {
                get: Get { filter: Filter(tags([("requestId", "a64")])), ..get() },
                encoding: EntryEncoding::Raw,
            },
        ),
        (
            format!("GET {svc}/sink?_length_=10&_timeout_=1m&_auto_delete_=false&_raw_=false\n{curl}"),
            Operation::Get {
                get: Get { count: 10, remove: false, wait_ms: 59_900, ..get() },
                encoding: EntryEncoding::List(Encoding::Json),
            },
        ),
        (format!("GET {svc}?_attrs_=true\n{curl}"), Operation::Attributes { encoding: Encoding::Json }),
        (format!("DELETE {svc}?_index_=1033\n{curl}"), Operation::Remove { indexes: indexes(&[1033]) }),
        (format!("DELETE {svc}?_index_=1033&_trunc_=true\n{curl}"), Operation::Truncate { below: Index(1033) }),
        (format!("DELETE {svc}?_index_=1033&_trunc_=false\n{curl}"), Operation::Remove { indexes: indexes(&[1033]) }),
    ] {
        assert_eq!(operation(&line), expected, "{line}");
    }
}

#[test]
fn python() {
    let headers = format!("Authorization: \n{IDENTITY}");
    let frames = format!("{headers}\n{PROTOBUF}");
    let call = send(&format!("POST /api/predict/qservice/sink?requestId=r1&a=b+c%26d\n{headers}")).unwrap();
    assert_eq!(call.address, Address { service: "qservice".into(), sink: true, suffix: "".into() });
    assert_eq!(call.address.queue_name(), "qservice/sink");
    assert_eq!(call.consumer, ConsumerId { group: "eas".into(), user: "6f1c".into() });
    assert_eq!(call.side, Side::Main);
    assert_eq!(
        call.purpose,
        CallPurpose::Operation(put(0, tags([("requestId", "r1"), ("a", "b c&d"), ("ts@sink", NOW)])))
    );

    let watch = Watch {
        consumer: ConsumerId { group: "eas".into(), user: "6f1c".into() },
        start: Start::At(Index(0)),
        window: 5,
        auto_commit: true,
        index_only: false,
        filter: Filter(tags([("k", "v")])),
        local: false,
    };
    for (line, expected) in [
        (
            format!(
                "GET /api/predict/qservice?_index_=0&_length_=1&_timeout_=5s&_raw_=false&_auto_delete_=true\
                 &requestId=r1\n{frames}"
            ),
            Operation::Get {
                get: Get { filter: Filter(tags([("requestId", "r1")])), wait_ms: 4_900, ..get() },
                encoding: EntryEncoding::List(Encoding::Protobuf),
            },
        ),
        (
            format!("GET /api/predict/qservice?_attrs_=true\n{headers}"),
            Operation::Attributes { encoding: Encoding::Json },
        ),
        (
            format!("DELETE /api/predict/qservice?_index_=11&_trunc_=true\n{headers}"),
            Operation::Truncate { below: Index(11) },
        ),
        (
            format!("DELETE /api/predict/qservice?_indexes_=1%2C2%2C3\n{headers}"),
            Operation::Remove { indexes: indexes(&[1, 2, 3]) },
        ),
        (format!("PUT /api/predict/qservice?_indexes_=7\n{headers}"), Operation::Commit { indexes: indexes(&[7]) }),
        (
            format!("GET /api/predict/qservice?_search_=true&_index_=4\n{headers}"),
            Operation::Search { index: Index(4) },
        ),
    ] {
        assert_eq!(operation(&line), expected, "{line}");
    }
    let line = format!(
        "GET /api/predict/qservice?_watch_=true&_index_=0&_window_=5&_index_only_=false&_auto_commit_=true&k=v\n\
         Upgrade: websocket\nConnection: Upgrade\nOrigin: http://h:80\n{frames}"
    );
    assert_eq!(send(&line).expect(&line).purpose, CallPurpose::Watch { watch, transport: Transport::Socket });
}

#[test]
fn go() {
    // The first request has no identity and asks for protobuf; the base path may be empty.
    let call = send(&format!("GET /?_attrs_=true\nAuthorization: \n{PROTOBUF}")).unwrap();
    assert_eq!(call.address.queue_name(), "default");
    assert_eq!(call.purpose, CallPurpose::Operation(Operation::Attributes { encoding: Encoding::Protobuf }));
    let identity = "Authorization: \nX-EAS-QueueService-Uid: u\nX-EAS-QueueService-Gid: eas";
    let consumer = ConsumerId { group: "eas".into(), user: "u".into() };

    let call = send(&format!(
        "POST /sink?a=b\n{identity}\nX-EAS-QueueService-Priority: 1\nX-EAS-QueueService-Access-Rear: true"
    ))
    .unwrap();
    assert_eq!((call.address.queue_name().as_str(), call.side), ("default/sink", Side::Rear));
    assert_eq!(call.consumer, consumer);
    assert_eq!(call.purpose, CallPurpose::Operation(put(1, tags([("a", "b"), ("ts@sink", NOW)]))));

    for (line, expected) in [
        (
            format!(
                "GET /?_auto_delete_=true&_index_=0&_length_=1&_raw_=false&_timeout_=0s&requestId=r1\n\
                 {identity}\n{PROTOBUF}"
            ),
            Operation::Get {
                get: Get { filter: Filter(tags([("requestId", "r1")])), ..get() },
                encoding: EntryEncoding::List(Encoding::Protobuf),
            },
        ),
        (
            format!(
                "GET /?_auto_delete_=false&_index_=18446744073709551615&_length_=3&_raw_=false&_timeout_=1m30s\n\
                 {identity}\n{PROTOBUF}"
            ),
            Operation::Get {
                get: Get { start: Start::At(Index(u64::MAX)), count: 3, remove: false, wait_ms: 89_900, ..get() },
                encoding: EntryEncoding::List(Encoding::Protobuf),
            },
        ),
        (format!("PUT /sink?_indexes_=0\n{identity}"), Operation::Commit { indexes: indexes(&[0]) }),
        (
            format!(
                "PUT /sink?_indexes_=1%2C2&_negative_=true\nContent-Type: application/x-www-form-urlencoded\n{identity}"
            ),
            Operation::Reject { indexes: indexes(&[1, 2]), delay_ms: None },
        ),
        (format!("POST /sink?_eos_=true\n{identity}"), Operation::End { force: false }),
        (format!("POST /sink?_eos_=true&_force_=true\n{identity}"), Operation::End { force: true }),
        (format!("DELETE /?_index_=101&_trunc_=true\n{identity}"), Operation::Truncate { below: Index(101) }),
    ] {
        assert_eq!(operation(&line), expected, "{line}");
    }
}

#[test]
fn watches_of_go() {
    let identity = "Authorization: \nX-EAS-QueueService-Uid: u\nX-EAS-QueueService-Gid: eas";
    let watch = |transport| CallPurpose::Watch {
        watch: Watch {
            consumer: ConsumerId { group: "eas".into(), user: "u".into() },
            start: Start::At(Index(0)),
            window: 5,
            auto_commit: false,
            index_only: true,
            filter: Filter::default(),
            local: false,
        },
        transport,
    };
    let subscribe = "GET /sink?_auto_commit_=false&_index_=0&_index_only_=true&_watch_=true&_window_=5";
    for (upgrade, transport) in
        [("Upgrade: websocket\nConnection: Upgrade", Transport::Socket), ("Accept-Encoding: gzip", Transport::Stream)]
    {
        let line = format!("{subscribe}\n{upgrade}\n{identity}\n{PROTOBUF}");
        assert_eq!(send(&line).expect(&line).purpose, watch(transport), "{line}");
    }
}

#[test]
fn java() {
    let headers = format!("Authorization: t\n{IDENTITY}");
    for (line, expected) in [
        (
            format!("POST /api/predict/svc?_priority_=2\nX-EAS-QueueService-Priority: 2\n{headers}"),
            put(2, tags([("ts@source", NOW)])),
        ),
        (
            format!(
                "GET /api/predict/svc/sink?_index_=-1&_length_=5&_timeout_=3s&_raw_=false\
                 &_auto_delete_=false\n{PROTOBUF}\n{headers}"
            ),
            Operation::Get {
                get: Get { start: Start::Newest, count: 5, remove: false, wait_ms: 2_900, ..get() },
                encoding: EntryEncoding::List(Encoding::Protobuf),
            },
        ),
        (
            format!("GET /api/predict/svc?_count_=true&_priority_=1&k=v\n{headers}"),
            Operation::Count { priority: Some(Priority(1)), filter: Filter(tags([("k", "v")])) },
        ),
        (
            format!("GET /api/predict/svc?_count_=true\n{headers}"),
            Operation::Count { priority: None, filter: Filter::default() },
        ),
        (format!("GET /api/predict/svc?_search_=true&_index_=3\n{headers}"), Operation::Search { index: Index(3) }),
        (format!("PUT /api/predict/svc?_indexes_=3%2C4\n{headers}"), Operation::Commit { indexes: indexes(&[3, 4]) }),
    ] {
        assert_eq!(operation(&line), expected, "{line}");
    }
}

#[test]
fn samples_with_plain_http_libraries() {
    // python-requests; a bare number is a time in seconds, and the list is wanted as JSON.
    let line =
        "GET /api/predict/svc/sink?requestId=r&_length_=1&_timeout_=5&_raw_=false&_auto_delete_=True\nAccept: */*";
    assert_eq!(
        operation(line),
        Operation::Get {
            get: Get { filter: Filter(tags([("requestId", "r")])), wait_ms: 4_900, ..get() },
            encoding: EntryEncoding::List(Encoding::Json),
        }
    );
    // An early client: protobuf without `_raw_`.
    let line = format!("GET /api/predict/svc/sink?_index_=0&_length_=1&_timeout_=0\n{PROTOBUF}");
    assert_eq!(operation(&line), Operation::Get { get: get(), encoding: EntryEncoding::List(Encoding::Protobuf) });
    // What a consumer carries from the input queue to the sink stays; the sink adds its own stamp.
    let line = "POST /api/predict/svc/sink?requestId=r&ts@source=1&ts@sink=2&Header:Content-Type=image/png\
        &task_id=7\nContent-Type: application/json";
    assert_eq!(
        operation(line),
        put(
            0,
            tags([
                ("requestId", "r"),
                ("ts@source", "1"),
                ("ts@sink", NOW),
                ("Header:Content-Type", "image/png"),
                ("task_id", "7")
            ])
        )
    );
    // The input queue stamps itself, whatever the caller says.
    assert_eq!(operation("POST /api/predict/svc?ts@source=1"), put(0, tags([("ts@source", &NOW_MS.to_string())])));
}
