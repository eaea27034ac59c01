//! Durations as Go writes and reads them (`1m30s`, `500ms`), and bare numbers, which are seconds.

use super::scalar::shown;
use alloc::{format, string::String};

/// Reads a duration as milliseconds, rounded down. One that does not fit is the longest there is, not an error. The
/// error is the second half of a sentence.
pub fn parse(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("must be a duration such as 500ms, 5s or 1m30s, or a number of seconds, not {}", shown(text));
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.starts_with('-') {
        return Err(format!("must not be negative: {}", shown(text)));
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    let bare = rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && rest.matches('.').count() <= 1;
    let mut total_ns: u128 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(wrong());
        }
        let length = after.find(|character: char| character == '.' || character.is_ascii_digit());
        let (unit, after) = after.split_at(length.unwrap_or(after.len()));
        let unit_ns: u128 = match unit {
            "" if bare => 1_000_000_000,
            "ns" => 1,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(wrong()),
        };
        let whole = whole.parse::<u64>().unwrap_or(if whole.is_empty() { 0 } else { u64::MAX });
        total_ns = total_ns.saturating_add(u128::from(whole) * unit_ns).saturating_add(part(fraction, unit_ns));
        rest = after;
    }
    Ok(u64::try_from(total_ns / 1_000_000).unwrap_or(u64::MAX))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len()))
}

/// The digits after the point as nanoseconds, for a unit of `unit_ns`. What is finer than a nanosecond does not count.
fn part(fraction: &str, unit_ns: u128) -> u128 {
    let (mut sum, mut place) = (0, unit_ns * 1_000_000);
    for digit in fraction.bytes() {
        place /= 10;
        sum += u128::from(digit - b'0') * place;
    }
    sum / 1_000_000
}

/// Writes milliseconds as Go's `Duration.String` does: `0s`, `500ms`, `19.997s`, `1m2.091s`, `1h0m0s`.
pub fn print(ms: u64) -> String {
    if ms == 0 {
        return "0s".into();
    }
    if ms < 1_000 {
        return format!("{ms}ms");
    }
    let (minutes_all, ms_left) = (ms / 60_000, ms % 60_000);
    let mut seconds = format!("{}.{:03}", ms_left / 1_000, ms_left % 1_000);
    seconds.truncate(seconds.trim_end_matches('0').trim_end_matches('.').len());
    match (minutes_all / 60, minutes_all % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_clients_send() {
        let table = [
            ("0", 0),
            ("5", 5_000),
            ("1.5", 1_500),
            ("0s", 0),
            ("1s", 1_000),
            ("1m", 60_000),
            ("3s", 3_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("1.5s", 1_500),
            (".5s", 500),
            ("1.s", 1_000),
            ("1h0m0s", 3_600_000),
            ("+5s", 5_000),
            ("999us", 0),
            ("1500\u{b5}s", 1),
            ("1500\u{3bc}s", 1),
            ("1000000ns", 1),
            ("0.0005h", 1_800),
            ("99999999999999999999h", u64::MAX),
            ("99999999999999999999", u64::MAX),
        ];
        for (text, ms) in table {
            assert_eq!(parse(text), Ok(ms), "{text}");
        }
        for text in [
            "", "+", "-1s", "-0", "-5", "s", ".", ".s", "5x", "5s5", "5 s", " 5s", "1d", "1m 3s", "5S", "\u{661}s",
            "1..5s", "1.2.3",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn writes_as_go_does() {
        let table = [
            (0, "0s"),
            (1, "1ms"),
            (500, "500ms"),
            (1_000, "1s"),
            (1_100, "1.1s"),
            (2_091, "2.091s"),
            (10_000, "10s"),
            (19_997, "19.997s"),
            (60_000, "1m0s"),
            (62_091, "1m2.091s"),
            (600_000, "10m0s"),
            (3_600_000, "1h0m0s"),
            (3_661_010, "1h1m1.01s"),
            (360_000_000, "100h0m0s"),
        ];
        for (ms, text) in table {
            assert_eq!(print(ms), text);
            assert_eq!(parse(text), Ok(ms));
        }
    }
}
