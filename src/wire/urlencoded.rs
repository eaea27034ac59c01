//! Percent-encoding and forms.

use super::scalar;
use alloc::{format, string::String, vec::Vec};

/// Decodes form-encoded pairs, in their order. Nothing between two `&` is nothing, a name without `=` has an empty value.
pub fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let pieces = text.split('&').filter(|piece| !piece.is_empty());
    pieces
        .map(|piece| {
            let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
            Ok((decode(key, true)?, decode(value, true)?))
        })
        .collect()
}

/// Decodes percent-encoding; in forms `+` is a blank. What would have to be guessed is refused, since a changed tag or
/// name would be found by nobody.
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
