//! Journeys: what the queue promises, as scripts in `tests/journeys/*.txt` that read like documentation.
//!
//! A script begins with a `#` line that says which promise it is about. Every other line is one thing that happens,
//! `->`, and *everything* that follows from it, in order, separated by `;`. What follows may go on in lines that begin
//! with `->` again. `nothing` says that nothing follows. `# ` begins a comment.
//!
//! ```text
//! watch eas.w1 window 2         -> attached; w1: 1 2
//! commit eas.w1 1               -> ok; w1: 3; rows 1
//! ```
//!
//! **What happens.** Each line is a request of its own to a real broker of the queue `eas`, made durable before
//! anything follows.
//!
//! - `put a b k=v priority 1`: one put of the bodies `a` and `b`, tagged; `a*3` is `aaa`
//! - `put a requestId=r once`: put-once by request id
//! - `put a b of 7,9 settled 5`: put-once by source: what came of the entries 7 and 9 of another queue, which has
//!   settled all below 5
//! - `get from 3 count 2 k=v keep wait 5s as g`: a read; `newest` instead of `from`; `keep`: do not remove; `as`: its
//!   name while it waits
//! - `abandon g`: the client of a waiting get goes away
//! - `watch eas.w1 window 2 k=v`: consumer `w1` of group `eas` connects; also `from 3`, `newest`, `auto` (commit),
//!   `heads` (index only), `over http`; `as name` names the connection, else it is called like the consumer
//! - `lose w1`: a connection is seen to be gone, with or without a close frame
//! - `commit eas.w1 1 2`: entries are done
//! - `reject eas.w1 1 2 delay 5s code OOM reason no memory`: negative commit; delay, code and reason may be left out
//! - `remove 1 2`, `truncate 3`: entries are removed: these, those below
//! - `end`, `end force`: end of the stream
//! - `set max_delivery=3 retention=1h`: settings, read as the service reads them
//! - `set predictor=https://p.example`: the consumer beside the queue, `eas.edge`, calls a predictor from now on
//! - `answer 3 500`: the predictor answers the call of entry 3; with 200 if no status is named
//! - `find r`, `cancel r`: the request with the id `r`, or with that of entry 3: `#3`
//! - `queue`, `numbers`, `consumers`, `groups`, `count priority 1 k=v`, `search eas.w1 2`: questions; `1 of 2`: one
//!   entry out, window two
//! - `wait 5s`: time passes; the alarm and the timer go off when the queue asked for them
//! - `sleep`: the queue is evicted from memory; sockets stay, and come back from what they remember with the next
//!   line
//! - `crash`: the queue loses memory and connections; what was answered is on the disk
//! - `unflushed LINE`: the line's turn is taken and then the storage fails: nothing was stored, sockets stay
//!
//! `rear ` before a line: the same at the rear queue (dead letters).
//!
//! **What follows.**
//!
//! - `ok`, `attached`, `waits`: the request is carried out; the get waits
//! - `put 1 2`: the indexes of the put entries; `again:1`, `again`: nothing was stored for this one, which is entry
//!   1, or nobody knows which
//! - `found 3, 2 before it`, `eas: 1 before it, 2 failed`, `eas: attempt 3 at eas.w1 for 5s`: where a request stands:
//!   for a new group, and for each one that needs it
//! - `cancelled 3`, `unknown`
//! - `edge: 1 2`: the predictor is called for these entries
//! - `revoke edge 3`: its call for this entry is given up: somebody took the entry, or it lasts too long
//! - `stored 1`: a result is in the sink, as entry 1 there
//! - `got 1 2`, `got none`: entries of a get; of a named one that waited: `g got 1`
//! - `w1: 1 2`: entries pushed to a connection; several connections stand in the order of their names
//! - `close w1 ended`: the queue ends a connection: `ended` (close frame 1000), `taken over`, `silent`, `opened
//!   again`
//! - `refused 429`: refused, with its HTTP status
//! - `rows 2`, `rows 1 deleted 3`: rows written and deleted by the flush; looked at only where it is named
//!
//! An entry is shown as its index if it carries the body that was put under it, else as `index=body`; `1 head` came
//! without a body; tags stand in brackets, except time stamps and request ids made by the queue.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod journeys {
    pub mod line;
    pub mod script;
    pub mod told;
    pub mod words;
    pub mod world;
}
mod support;

use journeys::{script::Script, world::World};
use std::{fs, path::PathBuf};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/journeys")
}

/// The scripts, by file name. Anything else in the folder is a mistake.
fn files() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for file in fs::read_dir(folder()).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".rs") {
            continue;
        }
        assert!(name.ends_with(".txt"), "tests/journeys/{name} is not a script");
        files.push((name, fs::read_to_string(path).unwrap()));
    }
    files.sort();
    files
}

/// Runs a script to its first disagreement. `sleepy`: the queue is evicted from memory before every line.
fn run(name: &str, text: &str, sleepy: bool) -> Result<(), String> {
    let script = Script::parse(text).map_err(|(line, wrong)| format!("tests/journeys/{name}:{line}: {wrong}"))?;
    let mut world = World::new();
    for step in &script.steps {
        if sleepy && world.can_sleep() {
            world.sleep();
        }
        let place = format!("tests/journeys/{name}:{}: {}", step.line, step.action);
        let came = world.happen(&step.action).map_err(|wrong| format!("{place}\n    {wrong}"))?;
        let wants_rows = step.expected.iter().any(|item| item.starts_with("rows"));
        let came: Vec<String> = came.into_iter().filter(|item| wants_rows || !item.starts_with("rows")).collect();
        if came != step.expected {
            return Err(format!("{place}\n{}", difference(&step.expected, &came)));
        }
    }
    Ok(())
}

/// Both lists, one under the other: what is only expected, what only came, what is in both.
fn difference(expected: &[String], came: &[String]) -> String {
    let same = expected.iter().zip(came).take_while(|(a, b)| a == b).count();
    let (expected_rest, came_rest) = (&expected[same..], &came[same..]);
    let tail = expected_rest.iter().rev().zip(came_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let mut lines: Vec<String> = expected[..same].iter().map(|item| format!("           {item}")).collect();
    lines.extend(expected_rest[..expected_rest.len() - tail].iter().map(|item| format!("  expected {item}")));
    lines.extend(came_rest[..came_rest.len() - tail].iter().map(|item| format!("      came {item}")));
    lines.extend(came_rest[came_rest.len() - tail..].iter().map(|item| format!("           {item}")));
    lines.join("\n")
}

fn run_all(sleepy: bool) {
    let files = files();
    assert!(files.len() >= 30, "only {} journeys were found", files.len());
    let failed: Vec<String> = files.iter().filter_map(|(name, text)| run(name, text, sleepy).err()).collect();
    assert!(failed.is_empty(), "{} of {} journeys fail\n\n{}\n", failed.len(), files.len(), failed.join("\n\n"));
}

#[test]
fn every_journey() {
    run_all(false);
}

/// Eviction from memory between any two lines changes nothing that anybody sees.
#[test]
fn every_journey_with_a_sleep_before_every_line() {
    run_all(true);
}

/// `docs/protocol.md` quotes journeys in blocks marked `journey FILE`: every line of a block is in that file, in order.
#[test]
fn the_documents_quote_what_the_journeys_say() {
    let text = fs::read_to_string(folder().join("../../docs/protocol.md")).unwrap();
    let files = files();
    let mut quotes = 0;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("```journey ") else { continue };
        let (_, script) = files.iter().find(|(file, _)| file == name).unwrap_or_else(|| panic!("there is no {name}"));
        let mut rest = script.lines();
        for quoted in lines.by_ref().take_while(|line| *line != "```") {
            assert!(rest.any(|line| line == quoted), "docs/protocol.md quotes what {name} does not say:\n{quoted}");
        }
        quotes += 1;
    }
    assert!(quotes > 0, "docs/protocol.md quotes no journey");
    let unnamed: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).filter(|name| !text.contains(name)).collect();
    assert!(unnamed.is_empty(), "docs/protocol.md does not name {unnamed:?}");
}

#[test]
fn a_script_without_lines_title_or_expectations_fails() {
    for (text, wrong) in [
        ("", "t:1: the script says nothing"),
        ("# Title\n", "t:1: the script says nothing"),
        ("put a -> put 1\n", "t:1: the first line must be a comment that says what the script is about"),
        ("# Title\nput a\n", "t:2: nothing is expected; write `-> nothing` if nothing follows"),
        ("# Title\nput a ->\n", "t:2: nothing is expected; write `-> nothing` if nothing follows"),
        ("# Title\n-> ok\n", "t:2: an expectation before anything happened"),
        ("# Title\nput a -> nothing; ok\n", "t:2: `nothing` stands alone"),
        ("# Title\nsing a -> nothing\n", "t:2: sing a\n    `sing` is nothing that happens"),
        ("# Title\nwatch eas.w1 widow 2 -> attached\n", "t:2: watch eas.w1 widow 2\n    `widow` makes no sense here"),
        ("# Title\nlose w1 -> nothing\n", "t:2: lose w1\n    there is no connection w1"),
        ("# Title\nwait 5 -> nothing\n", "t:2: wait 5\n    `5` is no time: write 5s, 1m or 500ms"),
    ] {
        let failure = run("t", text, false).expect_err(text);
        assert_eq!(failure.replace("tests/journeys/", ""), wrong, "{text}");
    }
}

#[test]
fn a_disagreement_is_shown_with_its_place() {
    let text = "# Title\n\nput a b -> put 1 2\nwatch eas.w1 window 1 -> attached; w1: 1 2; close w1 ended\n";
    let shown = "tests/journeys/t:4: watch eas.w1 window 1\n           attached\n  expected w1: 1 2\n\
                 \x20 expected close w1 ended\n      came w1: 1";
    assert_eq!(run("t", text, false), Err(shown.into()));
    let text = "# Title\nput a -> put 1; rows 1\n";
    let shown = "tests/journeys/t:2: put a\n           put 1\n  expected rows 1\n      came rows 2";
    assert_eq!(run("t", text, false), Err(shown.into()));
}
