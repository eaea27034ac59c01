//! What the vendor's page shows of its tool, compared line by line: see `transcripts/`.
//!
//! `$` begins a command; what follows is everything it prints on a terminal. `<<text>>` is typed, `<<^C>>` is Ctrl-C.
//! `{duration}`, `{id}`, `{ms}`, `{time}` and `{pid}` stand for what differs each time, `{number}` for a figure that
//! differs between services, and a line `...` for any further lines.

use super::support::{BINARY, Queue};
use super::terminal::{code, on_terminal};
use regex::Regex;

const PLACEHOLDERS: [(&str, &str); 6] = [
    ("{duration}", r"(\d+h)?(\d+m)?\d+(\.\d+)?(ns|µs|ms|s)"),
    ("{id}", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    ("{ms}", r"\d{13}"),
    ("{time}", r"\d{4} \d\d:\d\d:\d\d\.\d{6}"),
    ("{pid}", r" *\d+"),
    ("{number}", r"\d+"),
];

fn play(name: &str, transcript: &str) {
    let queue = Queue::new(name);
    queue.file("test.data", b"a\nb\nc\n");
    let commands = transcript.split("\n$ ").skip(1);
    for command in commands {
        let (line, expected) = command.split_once('\n').unwrap_or((command, ""));
        let args: Vec<&str> = line.split_whitespace().map(|word| word.trim_matches('"')).collect();
        // Terminals show what is typed; this one has to be told.
        let echo = ["-c", "stty echo; exec \"$@\"", "sh", BINARY];
        let mut session = on_terminal(&queue, "sh", &[echo.as_slice(), &args].concat());
        let mut shown = String::new();
        let mut rest = expected;
        while let Some((before, after)) = rest.split_once("<<") {
            let (typed, after) = after.split_once(">>").expect("<< is closed");
            let prompt = before.rsplit('\n').next().unwrap_or(before);
            let found = session.exp_string(prompt);
            shown += &found.unwrap_or_else(|error| panic!("{name}: {line}: no {prompt:?}: {error}"));
            shown += prompt;
            if typed == "^C" {
                session.send_control('c').expect("it is sent");
            } else {
                session.send_line(typed).expect("it is sent");
            }
            rest = after;
        }
        shown += &session.exp_eof().expect("the end");
        let exit = code(&mut session);
        let shown = shown.replace("\r\n", "\n");
        let pattern = pattern(expected);
        assert!(
            Regex::new(&pattern).expect(&pattern).is_match(&shown),
            "{name}: {line} ({exit}) printed\n{shown}\nand not\n{expected}"
        );
    }
}

fn pattern(expected: &str) -> String {
    let expected = expected.trim_end_matches('\n').replace("<<", "").replace(">>", "");
    let mut pattern = regex::escape(&expected);
    for (name, form) in PLACEHOLDERS {
        pattern = pattern.replace(&regex::escape(name), form);
    }
    let any = pattern.replace(&format!("\n{}", regex::escape("...")), "(\n.*)*");
    format!("^{any}\n?$")
}

#[test]
fn input_queue() {
    play("input", include_str!("transcripts/input.txt"));
}

#[test]
fn output_queue() {
    play("output", include_str!("transcripts/output.txt"));
}

#[test]
fn watching() {
    play("watching", include_str!("transcripts/watch.txt"));
}
