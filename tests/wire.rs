//! The wire against what is known of it: golden bytes, the official clients' requests, hostile input.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

#[path = "wire/answers.rs"]
mod answers;
#[path = "wire/batch.rs"]
mod batch;
#[path = "wire/clients.rs"]
mod clients;
#[path = "wire/golden.rs"]
mod golden;
#[path = "wire/hostile.rs"]
mod hostile;
#[path = "wire/parameters.rs"]
mod parameters;
#[path = "wire/progress.rs"]
mod progress;
#[path = "wire/rejections.rs"]
mod rejections;
#[path = "wire/settings.rs"]
mod settings;
#[path = "wire/socket.rs"]
mod socket;

use edgequeue::queue::entry::Tags;
use edgequeue::wire::{Answer, Call, CallPurpose, Operation, RequestParts, parse};

/// The time at which all requests of these tests arrive.
const NOW_MS: u64 = 1_700_000_000_123;

/// A request as text: `METHOD target` and header lines `Name: value`.
fn send(text: &str) -> Result<Call, Answer> {
    let mut lines = text.lines().map(str::trim);
    let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let header = |name: &str| {
        headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_string())
    };
    parse(&RequestParts { method, path, query, header: &header }, NOW_MS)
}

/// The operation of a request that is not a watch.
fn operation(text: &str) -> Operation {
    match send(text).expect(text).purpose {
        CallPurpose::Operation(operation) => operation,
        other => panic!("{text}: {other:?}"),
    }
}

/// A request that must be refused: status and text.
fn refusal(text: &str) -> (u16, String) {
    let answer = send(text).expect_err(text);
    (answer.status, String::from_utf8(answer.body.to_vec()).unwrap())
}

fn tags<const N: usize>(pairs: [(&str, &str); N]) -> Tags {
    pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
}
