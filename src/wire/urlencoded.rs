//! Percent-encoding and forms, read strictly.
//!
//! Not a crate: those guess at what is malformed, and a tag or a name that was guessed would never be found again.

use super::scalar;
use alloc::{format, string::String, vec::Vec};

/// Decodes the pairs of a form, in their order. An empty piece between two `&` is skipped; a name without `=` has an
/// empty value. The error is a sentence.
pub fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let pieces = text.split('&').filter(|piece| !piece.is_empty());
    pieces
        .map(|piece| {
            let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
            Ok((decode(key, true)?, decode(value, true)?))
        })
        .collect()
}

/// Decodes percent-encoding; in forms `+` is a blank. The error is a sentence.
pub fn decode(text: &str, plus_is_blank: bool) -> Result<String, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' if plus_is_blank => out.push(b' '),
            b'%' => match (bytes.next().and_then(hex), bytes.next().and_then(hex)) {
                (Some(high), Some(low)) => out.push(high << 4 | low),
                _ => {
                    return Err(format!(
                        "{} has a % without two hexadecimal digits; write a literal % as %25",
                        scalar::shown(text)
                    ));
                }
            },
            _ => out.push(byte),
        }
    }
    String::from_utf8(out)
        .map_err(|_| format!("{} is not UTF-8 when decoded; encode text as UTF-8", scalar::shown(text)))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}
