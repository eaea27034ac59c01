//! Numbers and booleans as text. Errors are the second half of a sentence: "... must be a whole number".

use alloc::{format, string::String};
use core::fmt::Write;

/// A whole number from 0; only digits.
pub fn unsigned(text: &str) -> Result<u64, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("must be a whole number from 0, not {}", shown(text)));
    }
    text.parse().map_err(|_| format!("must be at most {}, not {}", u64::MAX, shown(text)))
}

/// A whole number.
pub fn signed(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("must be a whole number, not {}", shown(text)));
    }
    text.parse().map_err(|_| format!("must be between {} and {}, not {}", i64::MIN, i64::MAX, shown(text)))
}

/// A boolean in the spellings of Go's `ParseBool`.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("must be true or false, not {}", shown(text))),
    }
}

/// A client's text for an error message: quoted, printable, and cut to the length of a line.
pub fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let mut out = String::from("\"");
    for character in text.chars().take(CHARS_MAX) {
        // Writing to a string cannot fail.
        let _ = write!(out, "{}", character.escape_debug());
    }
    out.push_str(if text.chars().nth(CHARS_MAX).is_some() { "...\"" } else { "\"" });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_those_of_go() {
        for text in ["1", "t", "T", "TRUE", "true", "True"] {
            assert_eq!(boolean(text), Ok(true));
        }
        for text in ["0", "f", "F", "FALSE", "false", "False"] {
            assert_eq!(boolean(text), Ok(false));
        }
        for text in ["", "yes", "tRUE", " true", "2"] {
            assert!(boolean(text).is_err());
        }
    }

    #[test]
    fn numbers_neither_wrap_nor_guess() {
        assert_eq!(unsigned("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(unsigned("007"), Ok(7));
        assert_eq!(signed("-9223372036854775808"), Ok(i64::MIN));
        for text in ["", "+1", " 1", "1 ", "0x10", "1e3", "1.0", "-", "--1", "18446744073709551616", "\u{0661}"] {
            assert!(unsigned(text).is_err() && signed(text).is_err(), "{text}");
        }
    }
}
