//! The words of a line.

use bytes::Bytes;
use edgequeue::wire::duration;

/// The words that are not read yet.
pub struct Words<'a>(pub Vec<&'a str>);

impl<'a> Words<'a> {
    pub fn of(text: &'a str) -> Self {
        Self(text.split_whitespace().collect())
    }

    pub fn next(&mut self) -> Option<&'a str> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    pub fn word(&mut self) -> Result<&'a str, String> {
        self.next().ok_or_else(|| "a word is missing at the end".into())
    }

    pub fn rest(&mut self) -> Vec<&'a str> {
        std::mem::take(&mut self.0)
    }

    pub fn number(&mut self) -> Result<u64, String> {
        number(self.word()?)
    }

    /// Indexes as `_indexes_` takes them.
    pub fn indexes(&mut self) -> Result<String, String> {
        let words = self.rest();
        words.iter().try_for_each(|word| number(word).map(drop))?;
        Ok(words.join(","))
    }

    pub fn time(&mut self) -> Result<u64, String> {
        let word = self.word()?;
        match duration::parse(word) {
            Ok(ms) if word.ends_with(char::is_alphabetic) => Ok(ms),
            _ => Err(format!("`{word}` is no time: write 5s, 1m or 500ms")),
        }
    }

    /// Group and user.
    pub fn consumer(&mut self) -> Result<(&'a str, &'a str), String> {
        let word = self.word()?;
        word.split_once('.').ok_or_else(|| format!("`{word}` is not a consumer: write group.user"))
    }

    pub fn end(&self) -> Result<(), String> {
        self.0.first().map_or(Ok(()), |word| Err(makes_no_sense(word)))
    }
}

pub fn makes_no_sense(word: &str) -> String {
    format!("`{word}` makes no sense here")
}

pub fn number(word: &str) -> Result<u64, String> {
    word.parse().map_err(|_| format!("`{word}` is not a number"))
}

/// A body: `a*3` is `aaa`.
pub fn body(word: &str) -> Result<Bytes, String> {
    match word.split_once('*') {
        Some((text, times)) => Ok(text.repeat(number(times)? as usize).into()),
        None => Ok(word.to_string().into()),
    }
}
