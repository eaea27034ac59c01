//! Exit codes, and what is said with them.

use super::support::{Queue, end};
use std::io::{BufRead, BufReader, Read};

#[test]
fn failures_are_1() {
    let queue = Queue::new("failure");
    queue.stream(&["put", "-d", "x", "--url", "http://127.0.0.1:1"]).code(1).says("cannot reach the service");
    queue.stream(&["watch", "-y", "--url", "http://127.0.0.1:1"]).code(1).says("stream config");
    queue.stream(&["put", "-f", "missing"]).code(1).says("cannot read missing");
}

#[test]
fn misuse_is_2_and_says_what_to_do() {
    let queue = Queue::new("usage");
    end(queue.bare_command(&["stream", "info"])).code(2).says("no queue was named").says("--url");
    queue.stream(&["info", "--url", "ftp://x"]).code(2).says("use http or https");
    queue.stream(&["info", "--context", "nowhere"]).code(2).says("there is no context \"nowhere\"");
    queue.stream(&["info", "--user", ""]).code(2).says("the user");
    queue.stream(&["put", "-d", "x", "--tags", "_x_=1"]).code(2).says("contains prefix _ which is reserved");
    queue.stream(&["negative", "1", "--code", "bad"]).code(2).says("code must match regular expression");
    queue.stream(&["put", "-d", "x", "--nonsense"]).code(2).says("--nonsense");
    queue.stream(&["get", "-l", "0"]).code(2);
    // Without a terminal nobody is asked.
    queue.stream(&["delete", "1"]).code(2).says("Add -y");
    queue.stream(&["trunc", "1"]).code(2).says("Add -y");
    queue.stream(&["end"]).code(2).says("Add -y");
    queue.stream(&["watch"]).code(2).says("--auto-commit");
}

#[test]
fn nothing_found_and_time_up_are_3() {
    let queue = Queue::new("nothing");
    queue.stream(&["get"]).code(3);
    queue.stream(&["get", "--timeout", "300ms"]).code(3);
    queue.stream(&["search", "1"]).code(3);
    queue.stream(&["watch", "-y", "--timeout", "300ms"]).code(3);
    end(queue.command(&["context", "use", "nowhere"])).code(3);
}

#[test]
fn a_bad_token_is_4() {
    let queue = Queue::new("token");
    for verb in
        [&["info"][..], &["put", "-d", "x"], &["put", "-f", "lines"], &["get"], &["watch", "-y"], &["commit", "1"]]
    {
        queue.file("lines", b"a\nb\n");
        queue.stream(&[verb, &["--token", "wrong"]].concat()).code(4).says("EDGEQUEUE_TOKEN");
    }
}

#[test]
fn full_and_too_large_are_5() {
    let queue = Queue::new("full");
    queue.stream(&["settings", "max_length=3", "max_payload_size_kb=1"]).ok();
    let large = "x".repeat(1025);
    queue.stream(&["put", "-d", &large]).code(5).says("1025 bytes").says("max_payload_size_kb");
    // What is too large does not take the others with it, and what is full ends the put.
    queue.file("lines", format!("a\n{large}\nb\nc\nd\n").as_bytes());
    let put = queue.stream(&["put", "-f", "lines"]).code(5).says("[FAIL] line 2").says("the queue is full");
    assert_eq!(put.lines(), ["[OK] 1", "[OK] 2", "[OK] 3"]);
    assert!(put.stderr.contains("lines acknowledged: 1, 3-4"), "{put:?}");
    assert!(put.stderr.contains("--from-line 5"), "{put:?}");
    queue.stream(&["put", "-d", "x"]).code(5).says("the queue is full");
    assert_eq!(queue.bodies(), ["a", "b", "c"]);
}

#[test]
fn a_put_can_wait_for_room() {
    let queue = Queue::new("room");
    queue.stream(&["settings", "max_length=2"]).ok();
    queue.file("lines", b"a\nb\nc\nd\n");
    let put = queue.command(&["stream", "put", "-f", "lines", "--wait"]).spawn().expect("it starts");
    while queue.stream(&["count", "-q"]).ok().stdout != "2\n" {}
    std::thread::sleep(std::time::Duration::from_millis(500));
    let got = queue.stream(&["watch", "-y", "-q", "--count", "4"]).ok();
    super::support::wait(put).ok().says("Waiting: the queue is full.");
    assert_eq!(got.lines(), ["a", "b", "c", "d"]);
}

#[test]
fn errors_are_objects_for_programs() {
    let queue = Queue::new("objects");
    let ended = queue.stream(&["info", "--token", "wrong", "--json"]).code(4);
    let error: serde_json::Value = serde_json::from_str(ended.stderr.trim()).expect("one object");
    assert_eq!(error["exit"], 4);
    assert!(error["error"].as_str().is_some_and(|text| text.contains("token")) && error["hint"].is_string());
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    let queue = Queue::new("pipe");
    let lines: String = (0..20_000).map(|number| format!("line {number} {}\n", "x".repeat(50))).collect();
    queue.file("lines", lines.as_bytes());
    queue.stream(&["put", "-f", "lines"]).ok();
    for args in [&["get", "--keep", "-l", "20000"][..], &["watch", "-y", "--window", "1000"]] {
        let mut child = queue.command(&[&["stream"], args].concat()).spawn().expect("it starts");
        let mut first = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut first).expect("a line");
        assert!(first.starts_with("[OK] [0 - "), "{first}");
        // The reader is dropped here.
        let mut stderr = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut stderr).expect("text");
        assert_eq!(child.wait().expect("it ends").code(), Some(0), "{stderr}");
        assert!(!stderr.contains("ERROR") && !stderr.contains("panic"), "{stderr}");
    }
    let help =
        std::process::Command::new("sh").arg("-c").arg(format!("{} --help | true", super::support::BINARY)).output();
    assert!(help.expect("sh runs").stderr.is_empty());
}
