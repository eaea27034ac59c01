//! Requests by their ids: what became of them, cancelling them, putting them once.

use super::support::Queue;
use serde_json::json;

/// Puts an entry and gives its request id.
fn put(queue: &Queue, args: &[&str]) -> String {
    let objects = queue.stream(&[&["put", "--json", "-d", "x"], args].concat()).ok().objects();
    objects[0]["requestId"].as_str().expect("a request id").to_owned()
}

#[test]
fn status_tells_where_a_request_stands() {
    let queue = Queue::new("status");
    let (first, second) = (put(&queue, &[]), put(&queue, &[]));
    assert_eq!(
        queue.stream(&["status", &first, &second]).ok().lines(),
        [format!("[OK] {first} queued: entry 1, position 1"), format!("[OK] {second} queued: entry 2, position 2")]
    );
    let objects = queue.stream(&["status", "--json", &second]).ok().objects();
    let expected = json!({ "status": "queued", "requestId": second, "index": 2, "position": 2, "attempts": 0 });
    assert_eq!(objects, [expected]);

    let watcher = queue.command(&["stream", "watch", "--no-commit", "--timeout", "3s"]).spawn().expect("it starts");
    let running = loop {
        let told = queue.stream(&["status", &first, "-q"]).ok();
        match told.stdout.as_str() {
            "queued\n" => continue,
            _ => break queue.stream(&["status", &first]).ok().stdout,
        }
    };
    let begin = format!("[OK] {first} running: entry 1, attempt 1, at default_group.default_user for ");
    assert!(running.starts_with(&begin), "{running}");
    queue.stream(&["negative", "1", "--code", "OOM", "--reason", "no memory", "--delay", "30m"]).ok();
    let failed = queue.stream(&["status", &first]).ok().stdout;
    assert!(
        failed.contains("failed 1 times (OOM: no memory), again in 29m") || failed.contains("again in 30m"),
        "{failed}"
    );
    super::support::wait(watcher).code(0);

    queue.stream(&["put", "-k", "-d", "result", "--tags", &format!("requestId={first}")]).ok();
    assert_eq!(
        queue.stream(&["status", "-k", &first]).ok().stdout,
        format!("[OK] {first} done: entry 1 of the sink\n")
    );
    let unknown = queue.stream(&["status", &second, "nobodys"]).code(3);
    assert_eq!(unknown.lines()[1], "[OK] nobodys unknown");
    queue.stream(&["status", "nobodys", "--json"]).code(3);
    queue.stream(&["status"]).code(2);
    queue.stream(&["status", ""]).code(2).says("it is empty");
}

#[test]
fn done_and_failed_are_found_through_the_input_queue() {
    let queue = Queue::new("ended");
    queue.stream(&["settings", "max_delivery=1"]).ok();
    let (done, dead, wrong) = (put(&queue, &[]), put(&queue, &[]), put(&queue, &[]));
    let tag = |id: &str| format!("requestId={id}");
    queue.stream(&["put", "-k", "-d", "result", "--tags", &tag(&done)]).ok();
    queue.stream(&["put", "-k", "-d", "sorry", "--tags", &tag(&wrong), "--tags", "lastCode=500"]).ok();
    let watcher = queue.command(&["stream", "watch", "--no-commit", "--timeout", "2s"]).spawn().expect("it starts");
    while queue.stream(&["status", &wrong, "-q"]).ok().stdout == "queued\n" {}
    queue.stream(&["commit", "1", "3"]).ok();
    queue.stream(&["negative", "2", "--code", "OOM"]).ok();
    assert_eq!(
        queue.stream(&["status", &done, &dead, &wrong]).ok().lines(),
        [
            format!("[OK] {done} done: entry 1 of the sink"),
            format!("[OK] {dead} failed (OOM), entry 1 of the rear queue"),
            format!("[OK] {wrong} failed (500), entry 2 of the sink"),
        ]
    );
    let late = queue.stream(&["cancel", "-y", &done]).code(1);
    late.says(&format!("[FAIL] {done}: the request cannot be cancelled: its result is in the sink"));
    super::support::wait(watcher);
}

#[test]
fn cancel_removes_what_waits_and_asks_before() {
    let queue = Queue::new("cancel");
    let (first, second) = (put(&queue, &[]), put(&queue, &[]));
    queue.stream(&["cancel", &first]).code(2).says("Add -y");
    assert_eq!(queue.stream(&["cancel", "-y", &first]).ok().stdout, format!("[OK] {first} cancelled: entry 1\n"));
    queue.stream(&["cancel", "-y", &first]).code(3).says(&format!("[FAIL] {first}: there is no such request"));
    let objects = queue.stream(&["cancel", "-y", "--json", &first, &second]).code(3).objects();
    assert_eq!(objects[0], json!({ "requestId": first, "status": "unknown" }));
    assert_eq!(objects[1], json!({ "requestId": second, "status": "cancelled", "index": 2 }));
    assert_eq!(queue.stream(&["count", "-q"]).ok().stdout, "0\n");
}

#[test]
fn what_is_put_once_can_be_put_again() {
    let queue = Queue::new("once");
    let once = ["put", "-d", "x", "--once", "--tags", "requestId=mine"];
    assert_eq!(queue.stream(&once).ok().stdout, "[OK] 1\n");
    assert_eq!(queue.stream(&once).ok().says("Already there: 1").stdout, "[OK] 1\n");
    let objects = queue.stream(&[&once[..], &["--json"]].concat()).ok().objects();
    assert_eq!(objects, [json!({ "line": 1, "index": 1, "requestId": "mine", "repeated": true })]);
    queue.stream(&["put", "-d", "x", "--once"]).code(2).says("--tags requestId=ID");

    // Every line is one of its own; what a first put did not reach is added by the second.
    let lines: String = (1..=250).map(|line| format!("{line}\n")).collect();
    queue.file("lines", lines.as_bytes());
    let all = ["put", "-f", "lines", "--once", "--tags", "requestId=job"];
    queue.stream(&[&all[..], &["--lines", "1-99,101"]].concat()).ok().says("success: 100");
    queue.stream(&all).ok().says("success: 250").says("Already there: 100");
    assert_eq!(queue.stream(&["count", "-q"]).ok().stdout, "251\n");
    let found = queue.stream(&["get", "--keep", "--json", "--tags", "requestId=job-250"]).ok().objects();
    assert_eq!(found[0]["data"], "250");
    queue.stream(&[&all[..], &["--batch", "1"]].concat()).ok().says("Already there: 250");
}

#[test]
fn callbacks_are_checked_and_kept() {
    let queue = Queue::new("callback");
    queue.stream(&["put", "-d", "x", "--callback", "a.example"]).code(2).says("must be an absolute URL");
    // The service of the tests allows no host.
    queue.stream(&["put", "-d", "x", "--callback", "https://a.example/done"]).code(1).says("callback");
    queue.stream(&["negative", "1", "--delay", "61m"]).code(2).says("at most 1h0m0s");
    queue.stream(&["negative", "1", "--delay", "5s"]).ok();
}
