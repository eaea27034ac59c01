//! Parameters of a request: the reserved ones (`_name_`), and tags.

use crate::queue::entry::Tags;
use crate::wire::answer::Answer;
use crate::wire::tags::check_tags;
use crate::wire::{duration, scalar, urlencoded};
use alloc::{format, string::String, vec::Vec};

/// Every reserved parameter. `_delete_` belongs to an early client and has no effect.
pub const RESERVED: [&str; 26] = [
    "_attrs_",
    "_auto_commit_",
    "_auto_delete_",
    "_batch_",
    "_callback_",
    "_cancel_",
    "_count_",
    "_delay_",
    "_delete_",
    "_eos_",
    "_force_",
    "_index_",
    "_index_only_",
    "_indexes_",
    "_length_",
    "_negative_",
    "_once_",
    "_priority_",
    "_raw_",
    "_search_",
    "_settings_",
    "_status_",
    "_timeout_",
    "_trunc_",
    "_watch_",
    "_window_",
];

/// The parameters of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    reserved: Vec<(String, String)>,
    /// All other parameters, within the limits for tags.
    pub tags: Tags,
}

impl Parameters {
    /// Reads a query without its `?`.
    pub fn parse(text: &str) -> Result<Self, Answer> {
        let mut query = Self::default();
        for (key, value) in urlencoded::pairs(text).map_err(Answer::bad)? {
            if RESERVED.contains(&key.as_str()) {
                query.reserved.push((key, value));
            } else if key == "_code_" || key == "_reason_" {
                return Err(Answer::bad(format!("{key} goes into the body of a negative commit, a form")));
            } else if key.starts_with('_') {
                return Err(Answer::bad(format!(
                    "{} is not a parameter of this service; names that begin with _ are reserved, \
                     so give a tag another name",
                    scalar::shown(&key)
                )));
            } else if query.tags.get(&key).is_some_and(|earlier| *earlier != value) {
                return Err(Answer::bad(format!(
                    "the tag {} is given twice with different values; give it once",
                    scalar::shown(&key)
                )));
            } else {
                query.tags.insert(key, value);
            }
        }
        check_tags(&query.tags)?;
        Ok(query)
    }

    /// Whether any reserved parameter is there.
    pub fn has_reserved(&self) -> bool {
        !self.reserved.is_empty()
    }

    /// All values of a parameter that may be repeated.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.reserved.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that has one.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Answer> {
        let mut first = None;
        for value in self.all(name) {
            if first.is_some_and(|earlier| earlier != value) {
                return Err(Answer::bad(format!("{name} is given twice with different values; give it once")));
            }
            first = Some(value);
        }
        Ok(first)
    }

    fn read<T>(&self, name: &str, read: fn(&str) -> Result<T, String>) -> Result<Option<T>, Answer> {
        let value = self.one(name)?.map(read).transpose();
        value.map_err(|wrong| Answer::bad(format!("{name} {wrong}")))
    }

    /// A boolean parameter.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, Answer> {
        self.read(name, scalar::boolean)
    }

    /// A boolean parameter that is false when missing.
    pub fn flag(&self, name: &str) -> Result<bool, Answer> {
        Ok(self.boolean(name)?.unwrap_or(false))
    }

    /// A whole number from 0.
    pub fn unsigned(&self, name: &str) -> Result<Option<u64>, Answer> {
        self.read(name, scalar::unsigned)
    }

    /// A whole number.
    pub fn signed(&self, name: &str) -> Result<Option<i64>, Answer> {
        self.read(name, scalar::signed)
    }

    /// A duration, in milliseconds.
    pub fn duration_ms(&self, name: &str) -> Result<Option<u64>, Answer> {
        self.read(name, duration::parse)
    }
}
