//! What only a person sees: questions, colours and bars, through a pseudo terminal.

use super::support::{BINARY, Queue, token};
use nix::sys::wait::WaitStatus;
use rexpect::session::{PtySession, spawn_command};
use std::process::Command;

const TIMEOUT_MS: u64 = 20_000;

/// The command on a terminal of its own.
pub fn on_terminal(queue: &Queue, program: &str, args: &[&str]) -> PtySession {
    let mut command = Command::new(program);
    command.args(args).env_clear().current_dir(queue.home.path());
    command
        .env("HOME", queue.home.path())
        .env("TERM", "xterm-256color")
        .env("NO_COLOR", "1")
        .env("PATH", "/usr/bin:/bin");
    command.env("EDGEQUEUE_URL", &queue.url).env("EDGEQUEUE_TOKEN", token());
    spawn_command(command, Some(TIMEOUT_MS)).expect("a pseudo terminal")
}

/// Exit code once everything was read.
pub fn code(session: &mut PtySession) -> i32 {
    match session.process_mut().wait().expect("it ends") {
        WaitStatus::Exited(_, code) => code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_a_yes_deletes() {
    let queue = Queue::new("asks");
    queue.put(&["a", "b", "c"]);
    for (answer, length, exit) in [("n", 3, 1), ("", 3, 1), ("nonsense", 3, 1), ("y", 2, 0), ("YES", 1, 0)] {
        let index = if length == 1 { "2" } else { "1" };
        let mut session = on_terminal(&queue, BINARY, &["stream", "delete", index]);
        session.exp_string(&format!("Deleting index(es):\r\n{index} [y/N] ")).expect("the question");
        session.send_line(answer).expect("an answer");
        let rest = session.exp_eof().expect("the end");
        assert_eq!(rest.contains("[OK] deleted"), exit == 0, "{rest}");
        assert_eq!(code(&mut session), exit);
        assert_eq!(queue.bodies().len(), length);
    }
    let mut session = on_terminal(&queue, BINARY, &["stream", "trunc", "9"]);
    session.exp_string("trunc stream from index: 9 [y/N] ").expect("the question");
    session.send_control('d').expect("the end of input");
    session.exp_eof().expect("the end");
    assert_eq!((code(&mut session), queue.bodies().len()), (1, 1));
}

#[test]
fn a_watch_asks_and_does_as_it_is_told() {
    let queue = Queue::new("watch-asks");
    queue.put(&["a", "b", "c", "d"]);
    let mut session = on_terminal(&queue, BINARY, &["stream", "watch", "--code", "OOM"]);
    for (prompt, answer) in [
        ("commit: 1 ? [Y/n] ", ""),
        ("commit: 2 ? [Y/n] ", "n"),
        ("negative: 2 ? [Y/n] ", ""),
        ("commit: 3 ? [Y/n] ", "n"),
        ("negative: 3 ? [Y/n] ", "n"),
    ] {
        session.exp_string(prompt).expect(prompt);
        session.send_line(answer).expect("an answer");
    }
    // The refused entry comes again, and says why; the third stays where it is.
    session.exp_string("commit: 4 ? [Y/n] ").expect("the fourth");
    session.send_line("yes").expect("an answer");
    let again = session.exp_string("commit: 2 ? [Y/n] ").expect("the second again");
    assert!(again.contains("[OK] [4 - 2] tags[lastCode=OOM"), "{again}");
    session.send_control('c').expect("an interrupt");
    let rest = session.exp_eof().expect("the end");
    assert!(rest.contains("Total: 5, committed: 2, negative: 1, returned: 2, "), "{rest}");
    assert_eq!(code(&mut session), 0);
    assert_eq!(queue.bodies(), ["b", "c"]);
}

#[test]
fn the_end_of_input_ends_a_watch() {
    let queue = Queue::new("eof");
    queue.put(&["a"]);
    let mut session = on_terminal(&queue, BINARY, &["stream", "watch"]);
    session.exp_string("commit: 1 ? [Y/n] ").expect("the question");
    session.send_control('d').expect("the end of input");
    let rest = session.exp_eof().expect("the end");
    assert!(rest.contains("returned: 1"), "{rest}");
    assert_eq!(code(&mut session), 0);
    assert_eq!(queue.bodies(), ["a"]);
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let queue = Queue::new("colours");
    let put = |environment: &str| {
        let line = format!("{environment} {BINARY} stream put -d x");
        let mut session = on_terminal(&queue, "sh", &["-c", &line]);
        session.exp_eof().expect("the end")
    };
    assert!(put("env -u NO_COLOR").contains("\u{1b}[32m[OK]\u{1b}[0m"));
    assert!(!put("").contains('\u{1b}'));
    assert!(!put("env -u NO_COLOR TERM=dumb").contains('\u{1b}'));
    let mut session = on_terminal(&queue, "sh", &["-c", &format!("env -u NO_COLOR {BINARY} stream put -d x | cat")]);
    assert!(session.exp_eof().expect("the end").contains("[OK] 4"));
}

#[test]
fn bodies_cannot_drive_the_terminal() {
    let queue = Queue::new("escape");
    queue.stream_with(b"\x1b]0;title\x07\x1b[2J text", &["put", "--whole"]).ok();
    let mut session = on_terminal(&queue, BINARY, &["stream", "get"]);
    let shown = session.exp_eof().expect("the end");
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{7}') && shown.contains("text"), "{shown:?}");
}

#[test]
fn long_work_shows_how_far_it_is() {
    let queue = Queue::new("bar");
    let lines: String = (0..40_000).map(|number| format!("{number} {}\n", "x".repeat(100))).collect();
    queue.file("lines", lines.as_bytes());
    let put = format!("{BINARY} stream put -f lines --batch 1000 > acks");
    let mut session = on_terminal(&queue, "sh", &["-c", &put]);
    let shown = session.exp_eof().expect("the end");
    assert!(shown.contains(" left") && shown.contains("/s") && shown.contains('%'), "{shown:?}");
    let watch = format!("{BINARY} stream watch -y --window 1000 --count 40000 > entries");
    let mut session = on_terminal(&queue, "sh", &["-c", &watch]);
    let shown = session.exp_eof().expect("the end");
    assert!(shown.contains("/40000") && shown.contains(" left"), "{shown:?}");
    let quiet = format!("{BINARY} stream get -q -l 2 --timeout 200ms; {BINARY} stream put -q -f lines > acks");
    let mut session = on_terminal(&queue, "sh", &["-c", &quiet]);
    assert_eq!(session.exp_eof().expect("the end"), "", "quiet is quiet");
}
