//! One setting: its name, how it is read, and how it is written.

use crate::queue::config::Settings;
use crate::wire::{duration, scalar};
use alloc::{format, string::String, string::ToString, vec::Vec};

/// A row in the table of settings: see [`knob!`].
pub(super) struct Knob {
    /// The name by which clients and deployments know it.
    pub name: &'static str,
    /// Sets it from a text. The error is the second half of a sentence that begins with the name.
    pub read: fn(&mut Settings, &str) -> Result<(), String>,
    /// Writes it as `read` would take it.
    pub shown: fn(&Settings) -> Shown,
    /// Copies it from some settings to others.
    pub copy: fn(&Settings, &mut Settings),
}

/// A row: the name, the field of [`Settings`] and the [`Notation`] of that field.
macro_rules! knob {
    ($name:literal, $field:ident, $format:expr) => {
        $crate::wire::http::knob::Knob {
            name: $name,
            read: |settings, text| {
                settings.$field = $crate::wire::http::knob::Notation::read(&$format, text)?;
                Ok(())
            },
            shown: |settings| $crate::wire::http::knob::Notation::shown(&$format, &settings.$field),
            copy: |from, to| to.$field.clone_from(&from.$field),
        }
    };
}
pub(super) use knob;

/// A value as text.
pub(super) enum Shown {
    /// A number or a boolean, which JSON has without quotes.
    Bare(String),
    /// Anything else.
    Quoted(String),
}

impl Shown {
    /// Without quotes.
    pub fn into_text(self) -> String {
        let (Self::Bare(text) | Self::Quoted(text)) = self;
        text
    }
}

/// How a value is written as text, and which values there may be.
pub(super) trait Notation<T> {
    /// Reads and checks it. The error is the second half of a sentence.
    fn read(&self, text: &str) -> Result<T, String>;
    /// Writes it.
    fn shown(&self, value: &T) -> Shown;
}

/// A whole number in a range, ends included.
pub(super) struct Number {
    pub min: u64,
    pub max: u64,
}

impl Notation<u64> for Number {
    fn read(&self, text: &str) -> Result<u64, String> {
        let Self { min, max } = self;
        match scalar::unsigned(text) {
            Ok(number) if (*min..=*max).contains(&number) => Ok(number),
            _ => Err(format!("must be a whole number from {min} to {max}, not {}", scalar::shown(text))),
        }
    }

    fn shown(&self, value: &u64) -> Shown {
        Shown::Bare(value.to_string())
    }
}

impl Notation<u32> for Number {
    fn read(&self, text: &str) -> Result<u32, String> {
        Notation::<u64>::read(self, text)
            .map(|number| u32::try_from(number).expect("the maximum of the setting is a u32"))
    }

    fn shown(&self, value: &u32) -> Shown {
        Shown::Bare(value.to_string())
    }
}

/// A size that is kept in bytes and written in whole KiB, from 1.
pub(super) struct Kibibytes {
    pub max_bytes: u64,
}

impl Notation<u64> for Kibibytes {
    fn read(&self, text: &str) -> Result<u64, String> {
        Number { min: 1, max: self.max_bytes / 1024 }.read(text).map(|kib: u64| kib * 1024)
    }

    fn shown(&self, bytes: &u64) -> Shown {
        Shown::Bare((bytes / 1024).to_string())
    }
}

/// On or off.
pub(super) struct Switch;

impl Notation<bool> for Switch {
    fn read(&self, text: &str) -> Result<bool, String> {
        scalar::boolean(text)
    }

    fn shown(&self, on: &bool) -> Shown {
        Shown::Bare(on.to_string())
    }
}

/// A time in a range, ends included, in milliseconds.
pub(super) struct Time {
    /// Whether it may also be 0, which switches something off.
    pub or_off: bool,
    pub min: u64,
    pub max: u64,
}

impl Notation<u64> for Time {
    fn read(&self, text: &str) -> Result<u64, String> {
        // Less than a millisecond is not "off".
        let is_zero = !text.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
        match duration::parse(text)? {
            _ if self.or_off && is_zero => Ok(0),
            ms if (self.min..=self.max).contains(&ms) => Ok(ms),
            _ => {
                let or_off = if self.or_off { "0 (off) or " } else { "" };
                let [min, max] = [self.min, self.max].map(duration::print);
                Err(format!("must be {or_off}from {min} to {max}, not {}", scalar::shown(text)))
            }
        }
    }

    fn shown(&self, ms: &u64) -> Shown {
        Shown::Quoted(duration::print(*ms))
    }
}

/// One of several words, whatever their case, for the values of a protobuf enumeration. The first one is the default.
pub(super) struct Choice(pub &'static [(&'static str, i32)]);

impl Notation<i32> for Choice {
    fn read(&self, text: &str) -> Result<i32, String> {
        match self.0.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)) {
            Some((_, value)) => Ok(*value),
            None => {
                let words: Vec<&str> = self.0.iter().map(|(word, _)| *word).collect();
                Err(format!("must be {}, not {}", words.join(" or "), scalar::shown(text)))
            }
        }
    }

    fn shown(&self, value: &i32) -> Shown {
        // What a newer version may have stored counts as the default, as in every protobuf reader.
        let known = self.0.iter().find(|(_, known)| known == value).or_else(|| self.0.first());
        let (word, _) = known.expect("there is something to choose from");
        Shown::Quoted((*word).into())
    }
}

/// A text that is empty or passes a check.
pub(super) struct Checked(pub fn(&str) -> Result<(), String>);

impl Notation<String> for Checked {
    fn read(&self, text: &str) -> Result<String, String> {
        if !text.is_empty() {
            (self.0)(text)?;
        }
        Ok(text.into())
    }

    fn shown(&self, text: &String) -> Shown {
        Shown::Quoted(text.clone())
    }
}
