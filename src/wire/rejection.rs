//! Rejections: code, reason and delay of a negative commit.

use super::answer::Answer;
use super::scalar::shown;
use super::{duration, urlencoded};
use crate::queue::event::Rejection;
use crate::queue::limits::{CODE_CHARS_MAX, DELAY_MS_MAX, REASON_BYTES_MAX, TAG_VALUE_BYTES_MAX};
use alloc::{format, string::String};

/// The grammar of codes, as the vendor's client has it. Its dot matches any character but a line feed.
pub const GRAMMAR: &str = "^([A-Z][a-z]*)+(.[A-Z][a-z]*)?$|^[0-9]+$";

const _: () = assert!(REASON_BYTES_MAX <= TAG_VALUE_BYTES_MAX, "the reason of a failure is a tag");
const _: () = assert!(CODE_CHARS_MAX * 4 <= TAG_VALUE_BYTES_MAX, "the code of a failure is a tag");

/// Reads the form in the body of a negative commit. Each field may be missing or empty. `delay_ms` is the delay that
/// the query asks for.
pub fn parse(body: &[u8], delay_ms: Option<u64>) -> Result<Rejection, Answer> {
    let text = core::str::from_utf8(body).map_err(|_| {
        Answer::bad(
            "the body of a negative commit is not UTF-8; send a form with _code_, _reason_ and _delay_, or nothing",
        )
    })?;
    let mut rejection = Rejection { delay_ms: delay_ms.unwrap_or(0), ..Rejection::default() };
    for (key, value) in urlencoded::pairs(text.trim_end()).map_err(Answer::bad)? {
        match key.as_str() {
            "_code_" => rejection.code = value,
            "_reason_" => rejection.reason = value,
            "_delay_" if value.is_empty() => {}
            "_delay_" => {
                rejection.delay_ms = self::delay_ms(&value)?;
                if delay_ms.is_some_and(|asked| asked != rejection.delay_ms) {
                    return Err(Answer::bad("_delay_ is given twice with different values; give it once"));
                }
            }
            _ => {
                return Err(Answer::bad(format!(
                    "{} is not a field of a negative commit; the body is a form with _code_, _reason_ and _delay_",
                    shown(&key)
                )));
            }
        }
    }
    checked(rejection)
}

/// Reads a delay as milliseconds.
pub fn delay_ms(text: &str) -> Result<u64, Answer> {
    let delay_ms = duration::parse(text).map_err(|wrong| Answer::bad(format!("_delay_ {wrong}")))?;
    check_delay(delay_ms)?;
    Ok(delay_ms)
}

fn check_delay(delay_ms: u64) -> Result<(), Answer> {
    if delay_ms > DELAY_MS_MAX {
        let [asked, max] = [delay_ms, DELAY_MS_MAX].map(duration::print);
        return Err(Answer::bad(format!(
            "an entry can be delayed by at most {max}, not by {asked}; reject it again then"
        )));
    }
    Ok(())
}

/// Checks code, reason and delay. A reason that is too long is cut, because losing its end is better than losing the
/// rejection.
pub fn checked(mut rejection: Rejection) -> Result<Rejection, Answer> {
    check_code(&rejection.code).map_err(Answer::bad)?;
    check_delay(rejection.delay_ms)?;
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
    // `([A-Z][a-z]*)+` means: letters, the first one a capital.
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
