//! Sets of lines: which to put, which were acknowledged.

use std::{fmt, str::FromStr};

/// Beyond the last line there can be.
const END: u64 = u64::MAX;
/// Ranges that are worth reading.
const SHOWN_MAX: usize = 50;

/// Half-open ranges of line numbers, sorted and apart from each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines(Vec<(u64, u64)>);

impl Lines {
    /// This line and all after it.
    pub fn starting_at(line: u64) -> Self {
        Self(vec![(line, END)])
    }

    /// The first line of the set that is not before `line`.
    pub fn first_from(&self, line: u64) -> Option<u64> {
        self.0.iter().find(|(_, end)| *end > line).map(|(start, _)| line.max(*start))
    }

    /// Without these ranges.
    pub fn without(&self, ranges: &[(u64, u64)]) -> Self {
        let mut out = Vec::new();
        let mut ranges = ranges.iter().peekable();
        for &(mut start, end) in &self.0 {
            while let Some(&&(cut_start, cut_end)) = ranges.peek() {
                if cut_start >= end {
                    break;
                }
                if cut_start > start {
                    out.push((start, cut_start));
                }
                start = start.max(cut_end);
                if cut_end > end {
                    break;
                }
                ranges.next();
            }
            if start < end {
                out.push((start, end));
            }
        }
        Self(out)
    }

    /// The option that selects these lines.
    pub fn option(&self) -> String {
        match self.0.as_slice() {
            [(start, END)] => format!("--from-line {start}"),
            _ => format!("--lines {}", self.text(",", usize::MAX)),
        }
    }

    fn text(&self, separator: &str, shown_max: usize) -> String {
        let text = |&(start, end): &(u64, u64)| match end {
            END => format!("{start}-"),
            _ if end - start == 1 => format!("{start}"),
            _ => format!("{start}-{}", end - 1),
        };
        let mut texts: Vec<String> = self.0.iter().take(shown_max).map(text).collect();
        if self.0.len() > shown_max {
            texts.push(format!("and {} more ranges", self.0.len() - shown_max));
        }
        texts.join(separator)
    }
}

impl From<&Vec<(u64, u64)>> for Lines {
    fn from(ranges: &Vec<(u64, u64)>) -> Self {
        Self(ranges.clone())
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { out.write_str("none") } else { out.write_str(&self.text(", ", SHOWN_MAX)) }
    }
}

impl FromStr for Lines {
    type Err = String;

    /// Reads `5-7,10,20-`; ranges must be in order.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("write line numbers from 1 in order, such as 5-7,10,20-, not {text:?}");
        let number = |text: &str| text.trim().parse::<u64>().ok().filter(|number| *number > 0 && *number < END);
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for part in text.split(',') {
            let (start, end) = match part.split_once('-') {
                None => (number(part), number(part).map(|line| line + 1)),
                Some((start, last)) if last.trim().is_empty() => (number(start), Some(END)),
                Some((start, last)) => (number(start), number(last).map(|last| last + 1)),
            };
            let (start, end) = (start.ok_or_else(wrong)?, end.ok_or_else(wrong)?);
            if start >= end || ranges.last().is_some_and(|(_, before)| *before > start) {
                return Err(wrong());
            }
            ranges.push((start, end));
        }
        Ok(Self(ranges))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_cut_and_shown() {
        let lines: Lines = "5-7,10,20-".parse().unwrap_or_else(|wrong| panic!("{wrong}"));
        assert_eq!(lines.to_string(), "5-7, 10, 20-");
        assert_eq!([1, 6, 8, 11, 99].map(|line| lines.first_from(line)), [5, 6, 10, 20, 99].map(Some));
        assert_eq!(lines.without(&[(6, 7), (10, 11), (20, 30)]).option(), "--lines 5,7,30-");
        assert_eq!(lines.without(&[(1, 25)]).option(), "--from-line 25");
        assert_eq!(Lines::starting_at(1).without(&[]).option(), "--from-line 1");
        for wrong in ["", "0", "7-5", "10,5", "a", "1-2-3", "-5"] {
            assert!(wrong.parse::<Lines>().is_err(), "{wrong}");
        }
    }
}
