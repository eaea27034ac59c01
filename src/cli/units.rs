//! Sizes and times as the vendor's tool prints them.

use std::time::Duration;

/// A size with two digits: `3.00 B`, `1.50 KB`; the next unit is 1,024 times as much.
pub fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KB", "MB", "GB"] {
        if value < 1024.0 {
            return format!("{value:.2} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.2} TB")
}

/// A time as Go prints it, to the nanosecond: `401.892141ms`, `1m2.5s`.
pub fn duration(time: Duration) -> String {
    let nanos = time.as_nanos();
    match nanos {
        0 => "0s".into(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}\u{b5}s", decimal(nanos, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(nanos, 1_000_000)),
        _ => {
            let minutes = nanos / 60_000_000_000;
            let seconds = decimal(nanos % 60_000_000_000, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// `nanos` in a unit of `unit` nanoseconds, without zeros at its end.
fn decimal(nanos: u128, unit: u128) -> String {
    let width = unit.ilog10() as usize;
    let text = format!("{}.{:0width$}", nanos / unit, nanos % unit);
    text.trim_end_matches('0').trim_end_matches('.').into()
}

/// Reads a size such as `512`, `16KB` or `1MiB`; units are powers of 1,024.
pub fn parse_size(text: &str) -> Result<usize, String> {
    let wrong = || format!("write a size such as 512, 16KB or 1MB, not {text:?}");
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: usize = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1024,
        "m" | "mb" | "mib" => 1024 * 1024,
        _ => return Err(wrong()),
    };
    number.parse::<usize>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_vendor_prints_them() {
        assert_eq!(size(3), "3.00 B");
        assert_eq!(size(1536), "1.50 KB");
        assert_eq!(size(3 << 30), "3.00 GB");
        let table = [
            (0, "0s"),
            (999, "999ns"),
            (1_500, "1.5\u{b5}s"),
            (401_892_141, "401.892141ms"),
            (1_000_000_000, "1s"),
            (62_500_000_000, "1m2.5s"),
            (3_661_000_000_000, "1h1m1s"),
        ];
        for (nanos, text) in table {
            assert_eq!(duration(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!(parse_size("16KB"), Ok(16 * 1024));
        assert_eq!(parse_size("1 MiB"), Ok(1024 * 1024));
        assert!(parse_size("").is_err() && parse_size("-1").is_err() && parse_size("1 parsec").is_err());
    }
}
