//! Every verb, for scripts.

use super::support::{Queue, end};
use serde_json::json;

#[test]
fn put_prints_indexes_and_get_entries() {
    let queue = Queue::new("put");
    let put = queue.stream(&["put", "-d", "10s"]).ok().says("Put data done.").says("Total size: 3.00 B");
    assert_eq!(put.stdout, "[OK] 1\n");
    assert_eq!(queue.stream(&["put", "-d", "more", "-q"]).ok().stdout, "2\n");
    let objects = queue.stream(&["put", "-d", "", "--json"]).ok().objects();
    assert_eq!((&objects[0]["line"], &objects[0]["index"]), (&json!(1), &json!(3)));

    let got = queue.stream(&["get", "-l", "3"]).ok();
    assert!(got.lines()[0].starts_with("[OK] [0 - 1] tags[requestId="), "{got:?}");
    assert!(got.lines()[1].ends_with("] more") && got.lines()[2].starts_with("[OK] [2 - 3] "), "{got:?}");
    assert_eq!(got.stderr, "");
    queue.stream(&["get"]).code(3).says("Nothing was found.");
}

#[test]
fn quiet_json_and_raw_are_exact() {
    let queue = Queue::new("exact");
    queue.file("bytes", b"a\0\xff\n");
    queue.stream(&["put", "-f", "bytes", "--whole", "-q"]).ok();
    queue.put(&["text \u{e9} \"quoted\""]);
    let mut raw = queue.command(&["stream", "get", "--keep", "--raw", "--index", "1"]);
    assert_eq!(raw.output().expect("it runs").stdout, b"a\0\xff\n");
    let objects = queue.stream(&["get", "--keep", "-l", "2", "--json"]).ok().objects();
    assert_eq!(objects[0]["data_base64"], "YQD/Cg==");
    assert_eq!(objects[0]["data"], json!(null));
    assert_eq!(objects[1]["data"], "text \u{e9} \"quoted\"");
    let quiet = queue.stream(&["get", "--index", "2", "-q"]).ok();
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("text \u{e9} \"quoted\"\n", ""));
}

#[test]
fn lines_come_from_files_and_from_standard_input() {
    let queue = Queue::new("lines");
    queue.file("test.data", b"a\nb\r\n\nlast");
    let put = queue.stream(&["put", "-f", "test.data"]).ok();
    assert_eq!(put.lines(), ["[OK] 1", "[OK] 2", "[OK] 3", "[OK] 4"]);
    assert!(put.stderr.starts_with("[INFO] Opening data file: test.data\n"), "{put:?}");
    queue.stream_with(b"from stdin\n", &["put"]).ok();
    queue.stream_with(b"one\nentry", &["put", "--whole", "-q"]).ok();
    assert_eq!(queue.bodies(), ["a", "b", "", "last", "from stdin", "one", "entry"]);
    queue.stream(&["put", "-f", "test.data", "--lines", "2,4-"]).ok();
    queue.stream(&["put", "-f", "test.data", "--from-line", "4"]).ok();
    assert_eq!(queue.bodies()[7..], ["b", "last", "last"]);
}

#[test]
fn tags_priorities_and_paths_travel() {
    let queue = Queue::new("tags");
    queue.stream(&["put", "-d", "low", "--tags", "model=a", "--tags", "note=x y&z"]).ok();
    queue.stream(&["put", "-d", "high", "--priority", "2", "--tags", "model=b", "--path", "/v1/do"]).ok();
    let found = queue.stream(&["get", "--keep", "--tags", "model=a", "--json"]).ok().objects();
    assert_eq!((&found[0]["data"], &found[0]["tags"]["note"]), (&json!("low"), &json!("x y&z")));
    let found = queue.stream(&["get", "--keep", "--tags", "model=b", "--json"]).ok().objects();
    assert_eq!(found[0]["tags"]["Path"], "/v1/do");
    assert_eq!(queue.stream(&["count", "--priority", "2"]).ok().stdout, "[OK] 1\n");
    assert_eq!(queue.stream(&["count", "--tags", "model=a", "-q"]).ok().stdout, "1\n");
    assert_eq!(queue.stream(&["count", "--json"]).ok().stdout, "{\"count\":2}\n");
    let watched = queue.stream(&["watch", "-y", "-q", "--count", "2"]).ok();
    assert_eq!(watched.lines(), ["high", "low"]);
}

#[test]
fn get_begins_where_it_is_told_and_waits() {
    let queue = Queue::new("get");
    queue.put(&["a", "b", "c"]);
    assert_eq!(queue.stream(&["get", "--index", "-1", "--keep", "-q"]).ok().stdout, "c\n");
    assert_eq!(queue.stream(&["get", "--index", "2", "-l", "9", "--keep", "-q"]).ok().stdout, "b\nc\n");
    let began = std::time::Instant::now();
    assert_eq!(queue.stream(&["get", "-l10", "--timeout=1s", "-q"]).ok().stdout, "a\nb\nc\n");
    assert!(began.elapsed().as_millis() >= 700, "it waits for more");
    let waiting = queue.command(&["stream", "get", "--timeout", "20s", "-q"]).spawn().expect("it starts");
    queue.put(&["late"]);
    assert_eq!(super::support::wait(waiting).ok().stdout, "late\n");
}

#[test]
fn the_sink_and_the_rear_queue_are_queues() {
    let queue = Queue::new("sink");
    queue.stream(&["put", "-k", "-d", "result", "--tags", "requestId=r1"]).ok();
    queue.stream(&["put", "--rear", "-d", "dead"]).ok();
    queue.stream(&["get"]).code(3);
    let found = queue.stream(&["get", "-k", "--tags", "requestId=r1"]).ok();
    assert!(found.stdout.starts_with("[OK] [0 - 1] tags[requestId=r1 ts@sink="), "{found:?}");
    assert_eq!(queue.stream(&["get", "--rear", "-q"]).ok().stdout, "dead\n");
}

#[test]
fn info_search_and_settings_tell() {
    let queue = Queue::new("info");
    queue.put(&["a", "b"]);
    let info = queue.stream(&["info"]).ok();
    assert_eq!(info.lines()[0], "[OK] Attributes: ");
    assert!(info.lines().contains(&"stream.length : 2"), "{info:?}");
    let keys: Vec<&str> = info.lines()[1..].iter().filter_map(|line| line.split(" : ").next()).collect();
    assert!(keys.is_sorted());
    assert_eq!(queue.stream(&["info", "--json"]).ok().objects()[0]["stream.lastEntry"], "2");

    let search = queue.stream(&["search", "2", "--group", "g", "--user", "u"]).ok();
    assert_eq!(search.stdout, "[OK] ConsumerId: g.u, IsPending: false, WaitCount: 1\n");
    assert_eq!(queue.stream(&["search", "2", "--json"]).ok().objects()[0]["WaitCount"], 1);
    queue.stream(&["search", "9"]).code(3).says("no data in stream");

    queue.stream(&["settings", "max_delivery=3", "max_idle=2m"]).ok();
    let settings = queue.stream(&["settings"]).ok();
    assert!(settings.lines().contains(&"max_delivery : 3"), "{settings:?}");
    queue.stream(&["settings", "nonsense=1"]).code(1).says("nonsense");
}

#[test]
fn entries_are_deleted_truncated_and_the_stream_is_ended() {
    let queue = Queue::new("delete");
    queue.put(&["a", "b", "c", "d"]);
    assert_eq!(queue.stream(&["delete", "-y", "1", "3"]).ok().stdout, "[OK] deleted\n");
    assert_eq!(queue.bodies(), ["b", "d"]);
    assert_eq!(queue.stream(&["trunc", "-y", "4"]).ok().stdout, "[OK] truncated\n");
    assert_eq!(queue.bodies(), ["d"]);
    assert_eq!(queue.stream(&["end", "-y"]).ok().stdout, "[OK] ended\n");
    queue.stream(&["put", "-d", "x"]).code(1).says("the queue was ended");
    assert_eq!(queue.stream(&["watch", "-y", "-q"]).ok().stdout, "d\n", "what is left is delivered, then it ends");
    queue.stream(&["watch", "-y"]).code(0).says("The stream was ended.");
}

#[test]
fn commits_and_negative_commits_reach_the_group() {
    let queue = Queue::new("commit");
    queue.put(&["a", "b", "c"]);
    queue.stream(&["watch", "--no-commit", "-q", "--count", "3"]).ok();
    assert_eq!(queue.stream(&["commit", "1", "2"]).ok().stdout, "[OK] committed\n");
    assert_eq!(queue.bodies(), ["c"]);
    let holder = queue.command(&["stream", "watch", "--no-commit", "-q"]).spawn().expect("it starts");
    while queue.stream(&["search", "3", "--json"]).ok().objects()[0]["IsPending"] != true {}
    let negative = queue.stream(&["negative", "3", "--code", "OOM", "--reason", "no room"]).ok();
    assert_eq!(negative.stdout, "[OK] negative committed\n");
    super::support::signal(&holder, "KILL");
    super::support::wait(holder);
    let again = queue.stream(&["watch", "-y", "--json", "--count", "1"]).ok().objects();
    assert_eq!((&again[0]["tags"]["lastCode"], &again[0]["tags"]["lastReason"]), (&json!("OOM"), &json!("no room")));
}

#[test]
fn every_command_explains_itself_with_examples() {
    let queue = Queue::new("help");
    let verbs = "config info put get delete trunc watch commit negative search count end settings";
    let mut commands: Vec<Vec<&str>> = verbs.split(' ').map(|verb| vec!["stream", verb]).collect();
    commands.extend([vec!["stream"], vec!["bench"], vec!["context"], vec!["completions"], vec![]]);
    for words in commands {
        let help = end(queue.bare_command(&[words.as_slice(), &["--help"]].concat())).ok();
        assert!(help.stdout.contains("Examples:\n  ") && help.stderr.is_empty(), "{words:?}: {help:?}");
    }
    let help = end(queue.bare_command(&["stream", "help", "put"])).ok();
    assert!(help.stdout.contains("--from-line"));
    assert!(end(queue.bare_command(&["--help"])).ok().stdout.contains("5  refused"));
}

#[test]
fn completions_are_scripts() {
    let queue = Queue::new("completions");
    for shell in ["bash", "zsh", "fish"] {
        let script = end(queue.bare_command(&["completions", shell])).ok().stdout;
        assert!(script.contains("auto-commit") && script.contains("completions"), "{shell}");
        let file = queue.file(shell, script.as_bytes());
        // Where the shell is installed, it reads the script.
        if let Ok(read) = std::process::Command::new(shell).arg("-n").arg(&file).output() {
            assert!(read.status.success(), "{shell}: {read:?}");
        }
    }
}

#[test]
fn bench_measures_and_leaves_nothing() {
    let queue = Queue::new("bench");
    let bench = queue.command(&["bench", "-d", "1s", "-c", "2", "--size", "100", "--json"]);
    let figures = &end(bench).ok().objects()[0];
    for name in ["put", "end-to-end", "commit"] {
        assert!(
            figures[name]["count"].as_u64() > Some(0) && figures[name]["p99.9_ms"].as_f64() > Some(0.0),
            "{figures}"
        );
    }
    assert_eq!(figures["put"]["count"], figures["commit"]["count"]);
    let table = end(queue.command(&["bench", "-d", "500ms", "--batch", "10"])).ok();
    assert!(table.lines()[0].contains("p50 ms") && table.lines()[3].starts_with("commit"), "{table:?}");
    assert_eq!(queue.stream(&["count", "-q"]).ok().stdout, "0\n");
}
