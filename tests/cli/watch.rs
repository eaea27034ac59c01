//! Watches: what they commit, how they end, and that nothing is lost when connections break.

use super::proxy::Proxy;
use super::support::{Queue, end, signal, wait};
use std::io::{BufRead, BufReader, Read};
use std::process::ChildStdout;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::Duration;

/// The first line a child prints; what follows stays in the reader.
fn first_line(reader: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).expect("a line");
    line
}

#[test]
fn entries_are_committed_when_they_were_printed() {
    let queue = Queue::new("watch");
    queue.put(&["a", "b", "c"]);
    let watch = queue.stream(&["watch", "-y", "--count", "2"]).ok();
    assert!(watch.lines()[0].starts_with("[OK] [0 - 1] tags[requestId=") && watch.lines()[0].ends_with("] a"));
    assert_eq!(watch.lines().len(), 2);
    assert!(
        watch.stderr.contains("[INFO] Start to watch: index: 0, indexOnly: false, autoCommit: false, window: 10\n")
    );
    assert!(watch.stderr.contains("Total: 2, committed: 2, negative: 0, "), "{watch:?}");
    assert_eq!(queue.bodies(), ["c"]);
}

#[test]
fn auto_commit_index_only_and_newest_are_the_services() {
    let queue = Queue::new("auto");
    queue.put(&["a", "b"]);
    let watch = queue.stream(&["watch", "--auto-commit", "--index-only", "--timeout", "500ms"]).ok();
    assert!(watch.lines()[0].starts_with("[OK] [0 - 1] tags[") && watch.lines()[0].ends_with("] "), "{watch:?}");
    assert_eq!(queue.bodies().len(), 0);
    queue.put(&["old"]);
    let newest = ["stream", "watch", "-y", "-q", "--index", "-1", "--group", "g", "--count", "1"];
    let child = queue.command(&newest).spawn().expect("it starts");
    while !queue.stream(&["info"]).ok().stdout.contains("Status: Running") {}
    queue.put(&["new"]);
    assert_eq!(wait(child).ok().stdout, "new\n");
}

#[test]
fn ctrl_c_ends_a_watch_and_leaves_nothing_leased() {
    let queue = Queue::new("ctrl-c");
    queue.put(&["a", "b", "c"]);
    let mut child = queue.command(&["stream", "watch", "--no-commit"]).spawn().expect("it starts");
    let mut reader = BufReader::new(child.stdout.take().expect("piped"));
    first_line(&mut reader);
    signal(&child, "INT");
    let ended = wait(child).ok().says("Watch done.").says("returned: 3");
    assert!(ended.stderr.contains("committed: 0"));
    // Another consumer of the group gets them at once, and they count as never delivered.
    let other = queue.stream(&["watch", "-y", "-q", "--user", "other", "--count", "3", "--timeout", "5s"]).ok();
    assert_eq!(other.lines(), ["a", "b", "c"]);
    let info = queue.stream(&["info"]).ok().stdout;
    assert!(info.contains("groups.list.[0] : Id: default_group, Index: 0, Pending: 0"), "{info}");
}

#[test]
fn a_broken_connection_loses_and_doubles_nothing() {
    let queue = Queue::new("reconnect");
    let lines: Vec<String> = (0..3_000).map(|number| format!("line {number}")).collect();
    queue.file("lines", lines.join("\n").as_bytes());
    queue.stream(&["put", "-f", "lines", "-q"]).ok();
    let proxy = Proxy::new();
    let mut command = queue.command(&["stream", "watch", "-y", "-q", "--window", "20", "--count", "3000"]);
    command.env("EDGEQUEUE_URL", proxy.url(&queue.url));
    let mut child = command.spawn().expect("it starts");
    let mut reader = BufReader::new(child.stdout.take().expect("piped"));
    let mut seen = Vec::new();
    for line in reader.by_ref().lines() {
        seen.push(line.expect("text"));
        if seen.len() % 700 == 0 && seen.len() < 3_000 {
            // Commits under way are cut too, and for a while nothing can be reached.
            proxy.closed.store(true, Ordering::SeqCst);
            proxy.cut();
            sleep(Duration::from_millis(400));
            proxy.closed.store(false, Ordering::SeqCst);
        }
    }
    let ended = wait(child).ok();
    assert_eq!(seen, lines, "each once, in order");
    assert!(ended.stderr.is_empty(), "quiet: {ended:?}");
    assert_eq!(queue.stream(&["count", "-q"]).ok().stdout, "0\n", "all are committed");
}

#[test]
fn a_lost_connection_is_told_and_found_again() {
    let queue = Queue::new("told");
    let proxy = Proxy::new();
    let mut command = queue.command(&["stream", "watch", "-y", "--count", "2"]);
    command.env("EDGEQUEUE_URL", proxy.url(&queue.url));
    let mut child = command.spawn().expect("it starts");
    queue.put(&["a"]);
    let mut reader = BufReader::new(child.stdout.take().expect("piped"));
    first_line(&mut reader);
    proxy.cut();
    queue.put(&["b"]);
    let second = first_line(&mut reader);
    assert!(second.ends_with("] b\n"), "{second}");
    wait(child).ok().says("The connection is gone").says("Connected again.").says("reconnects: 1");
}

#[test]
fn two_watches_with_one_name_do_not_fight() {
    let queue = Queue::new("twice");
    let first = queue.command(&["stream", "watch", "-y"]).spawn().expect("it starts");
    while !queue.stream(&["info"]).ok().stdout.contains("Status: Running") {}
    queue.stream(&["watch", "-y", "--timeout", "500ms"]).code(3);
    wait(first).code(1).says("another watch with the same group and user has begun").says("--user");
}

#[test]
fn a_token_that_is_wrong_from_the_start_is_not_retried() {
    let queue = Queue::new("wrong");
    let began = std::time::Instant::now();
    end(queue.command(&["stream", "watch", "-y", "--token", "wrong"])).code(4);
    assert!(began.elapsed() < Duration::from_secs(5));
}

/// Watches and commits fifty entries through a proxy: how many commits were requests by HTTP.
fn commits_by_http(proxy: &Proxy, name: &str) -> u64 {
    let queue = Queue::new(name);
    let lines: Vec<String> = (0..50).map(|number| format!("line {number}")).collect();
    queue.file("lines", lines.join("\n").as_bytes());
    queue.stream(&["put", "-f", "lines", "-q"]).ok();
    let mut command = queue.command(&["stream", "watch", "-y", "--window", "5", "--count", "50"]);
    command.env("EDGEQUEUE_URL", proxy.url(&queue.url));
    let ended = end(command).ok().says("committed: 50, negative: 0, returned: 0, reconnects: 0");
    assert_eq!(ended.lines().len(), 50);
    assert_eq!(queue.stream(&["count", "-q"]).ok().stdout, "0\n", "all are committed");
    proxy.settled_by_http.load(Ordering::SeqCst)
}

#[test]
fn commits_travel_on_the_socket_that_is_open_anyway() {
    assert_eq!(commits_by_http(&Proxy::new(), "on-socket"), 0);
}

#[test]
fn a_service_that_is_not_ours_is_told_by_http() {
    assert!(commits_by_http(&Proxy::disguised(), "by-http") >= 1);
}

#[test]
fn where_the_offer_is_lost_on_the_way_commits_go_by_http() {
    assert!(commits_by_http(&Proxy::without_offers(), "no-offer") >= 1);
}
