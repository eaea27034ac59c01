//! Code and reason of a negative commit.

use super::query;
use super::scalar::shown;
use super::status::Answer;
use crate::queue::event::Rejection;
use crate::queue::limits::{CODE_CHARS_MAX, REASON_BYTES_MAX};
use alloc::{format, string::String};

/// The grammar of codes, as it stands in the vendor's client: its dot is any character but a line feed.
pub const GRAMMAR: &str = "^([A-Z][a-z]*)+(.[A-Z][a-z]*)?$|^[0-9]+$";

/// Reads the form body of a negative commit. Both fields may be missing or empty.
pub fn parse(body: &[u8]) -> Result<Rejection, Answer> {
    let text = core::str::from_utf8(body).map_err(|_| {
        Answer::bad("the body of a negative commit is not UTF-8; send a form with _code_ and _reason_, or nothing")
    })?;
    let mut rejection = Rejection::default();
    for (key, value) in query::pairs(text.trim_end()).map_err(Answer::bad)? {
        match key.as_str() {
            "_code_" => rejection.code = value,
            "_reason_" => rejection.reason = value,
            _ => {
                return Err(Answer::bad(format!(
                    "{} is no field of a negative commit; the body is a form with _code_ and _reason_",
                    shown(&key)
                )));
            }
        }
    }
    checked(rejection)
}

/// Checks code and reason. A reason that is too long is cut, because losing its end is better than losing the rejection.
pub fn checked(mut rejection: Rejection) -> Result<Rejection, Answer> {
    check_code(&rejection.code).map_err(Answer::bad)?;
    let cut = (0..=REASON_BYTES_MAX.min(rejection.reason.len())).rfind(|end| rejection.reason.is_char_boundary(*end));
    rejection.reason.truncate(cut.unwrap_or(0));
    Ok(rejection)
}

fn check_code(code: &str) -> Result<(), String> {
    if code.is_empty() {
        return Ok(());
    }
    if !matches_grammar(code) {
        return Err(format!("code must match regular expression: {GRAMMAR}"));
    }
    if code.chars().count() > CODE_CHARS_MAX {
        return Err(format!("code can not have more than {CODE_CHARS_MAX} characters"));
    }
    Ok(())
}

/// Whether a code has the form of [`GRAMMAR`].
pub fn matches_grammar(code: &str) -> bool {
    if !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_digit()) {
        return true;
    }
    // `([A-Z][a-z]*)+` is: letters, the first one a capital.
    let words = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_uppercase())
            && text.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    if words(code) {
        return true;
    }
    // Otherwise the last word is a capital and small letters, and any one character stands before it.
    let head = code.trim_end_matches(|last: char| last.is_ascii_lowercase());
    let Some(head) = head.strip_suffix(|last: char| last.is_ascii_uppercase()) else { return false };
    let mut head = head.chars();
    head.next_back().is_some_and(|separator| separator != '\n') && words(head.as_str())
}
