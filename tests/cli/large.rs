//! Large puts: memory, interruption, and services that take one entry at a time.

use super::proxy::Proxy;
use super::support::{Queue, end, memory_peak, signal, wait};
use std::io::{BufRead, BufReader, Read};
use std::thread::sleep;
use std::time::Duration;

/// Memory a put or a watch of any size may use. A debug build of the command with its threads takes about a third of
/// it.
const MEMORY_BYTES_MAX: u64 = 64 * 1024 * 1024;

fn lines(count: usize, length: usize) -> Vec<String> {
    (0..count).map(|number| format!("{number:08} {}", "x".repeat(length - 9))).collect()
}

#[test]
fn memory_stays_flat_and_every_line_arrives_once() {
    let queue = Queue::new("flat");
    // Well above the bound on memory.
    let lines = lines(100_000, 1_000);
    queue.file("lines", (lines.join("\n") + "\n").as_bytes());
    let mut put = queue.command(&["stream", "put", "-f", "lines"]).spawn().expect("it starts");
    let acks = BufReader::new(put.stdout.take().expect("piped")).lines();
    let mut peak = 0;
    for (number, line) in acks.enumerate() {
        assert_eq!(line.expect("text"), format!("[OK] {}", number + 1));
        if number % 1_000 == 0 {
            peak = peak.max(memory_peak(put.id()).unwrap_or(peak));
        }
    }
    wait(put).ok().says("Total: 100000, success: 100000, failed: 0").says("Total size: 95.37 MB");
    assert!((1..MEMORY_BYTES_MAX).contains(&peak), "put: {peak} bytes");

    let drain = ["stream", "watch", "-y", "-q", "--window", "1000", "--count", "100000"];
    let mut watch = queue.command(&drain).spawn().expect("it starts");
    let mut peak = 0;
    for (number, line) in BufReader::new(watch.stdout.take().expect("piped")).lines().enumerate() {
        assert_eq!(line.expect("text"), lines[number]);
        if number % 1_000 == 0 {
            peak = peak.max(memory_peak(watch.id()).unwrap_or(peak));
        }
    }
    wait(watch).ok();
    assert!((1..MEMORY_BYTES_MAX).contains(&peak), "watch: {peak} bytes");
    assert_eq!(queue.stream(&["count", "-q"]).ok().stdout, "0\n");
}

/// Starts a put, interrupts it after some acknowledgements, resumes it as it says, and expects every line exactly once.
fn interrupted(queue: &Queue, url: &str, options: &[&str], in_order: bool) {
    let lines = lines(60_000, 100);
    queue.file("lines", lines.join("\n").as_bytes());
    let args = [&["stream", "put", "-f", "lines"], options].concat();
    let mut command = queue.command(&args);
    command.env("EDGEQUEUE_URL", url);
    let mut child = command.spawn().expect("it starts");
    let mut acks = BufReader::new(child.stdout.take().expect("piped"));
    let mut first = String::new();
    acks.read_line(&mut first).expect("an acknowledgement");
    signal(&child, "INT");
    let acknowledged = 1 + acks.lines().count();
    let ended = wait(child).code(1).says("interrupted; lines acknowledged: 1");
    assert!(acknowledged < lines.len(), "it was too fast to be interrupted");
    assert_eq!(queue.stream(&["count", "-q"]).ok().stdout, format!("{acknowledged}\n"));
    let hint = ended.stderr.lines().last().and_then(|line| line.strip_suffix('.')).expect("a hint");
    let option: Vec<&str> = hint.split_once("command and ").expect("the option").1.split(' ').collect();
    // The rest is put the fast way, whatever the first part took.
    queue.stream(&[&["put", "-f", "lines", "-q"], option.as_slice()].concat()).ok();
    let mut bodies = queue.bodies();
    if !in_order {
        bodies.sort();
    }
    assert_eq!(bodies, lines);
}

#[test]
fn an_interrupted_put_is_resumed() {
    let queue = Queue::new("resume");
    interrupted(&queue, &queue.url, &["--batch", "500"], true);
}

#[test]
fn services_without_batches_are_put_single_entries() {
    let queue = Queue::new("plain");
    let proxy = Proxy::disguised();
    interrupted(&queue, &proxy.url(&queue.url), &[], false);
    let queue = Queue::new("plain-order");
    let lines = lines(200, 20);
    queue.file("lines", lines.join("\n").as_bytes());
    let args = ["stream", "put", "-f", "lines", "-q", "--concurrency", "1"];
    let mut command = queue.command(&args);
    command.env("EDGEQUEUE_URL", proxy.url(&queue.url));
    end(command).ok();
    assert_eq!(queue.bodies(), lines);
}

#[test]
fn a_killed_put_has_printed_what_was_acknowledged() {
    let queue = Queue::new("killed");
    let lines = lines(60_000, 100);
    queue.file("lines", lines.join("\n").as_bytes());
    let mut child = queue.command(&["stream", "put", "-f", "lines", "--batch", "500"]).spawn().expect("it starts");
    let mut acks = BufReader::new(child.stdout.take().expect("piped"));
    let mut first = String::new();
    acks.read_line(&mut first).expect("an acknowledgement");
    signal(&child, "KILL");
    let acknowledged = 1 + acks.lines().map_while(Result::ok).filter(|line| line.starts_with("[OK] ")).count();
    wait(child);
    let stored = queue.bodies();
    assert!(stored.len() >= acknowledged, "{} stored, {acknowledged} acknowledged", stored.len());
    assert_eq!(stored, lines[..stored.len()]);
}

#[test]
fn lines_without_an_answer_are_named() {
    let queue = Queue::new("unknown");
    let lines = lines(60_000, 100);
    queue.file("lines", lines.join("\n").as_bytes());
    let proxy = Proxy::new();
    let mut command = queue.command(&["stream", "put", "-f", "lines", "--batch", "500"]);
    command.env("EDGEQUEUE_URL", proxy.url(&queue.url));
    let mut child = command.spawn().expect("it starts");
    let mut acks = BufReader::new(child.stdout.take().expect("piped"));
    let mut first = String::new();
    acks.read_line(&mut first).expect("an acknowledgement");
    // Again and again until a request was under way.
    while child.try_wait().expect("a child").is_none() {
        proxy.cut();
        sleep(Duration::from_millis(50));
        // The pipe must not fill up.
        for line in acks.by_ref().lines().take(500) {
            line.expect("text");
        }
    }
    let ended = wait(child).code(1).says("without an answer, so perhaps stored: ").says("Put the rest with");
    let text = ended.stderr.split("lines acknowledged: 1-").nth(1).expect("a range");
    let last: usize = text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("a number");
    let unknown = format!("perhaps stored: {}-{}", last + 1, last + 500);
    assert!(ended.stderr.contains(&unknown), "{unknown}: {ended:?}");
    assert!(ended.stderr.contains(&format!("--from-line {}", last + 1)), "{ended:?}");
}
