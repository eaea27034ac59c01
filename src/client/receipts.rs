//! What became of each line of a long put.

use super::answer::PutReceipt;
use alloc::{collections::BTreeMap, vec::Vec};

/// What became of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineOutcome<F> {
    /// It is stored.
    Stored(PutReceipt),
    /// It was refused: it is not stored.
    Refused(F),
    /// No answer came: it may be stored or not.
    Unknown,
}

/// Half-open ranges of lines, sorted and apart from each other.
pub type LineRanges = Vec<(u64, u64)>;

/// Takes in outcomes in any order and gives them out in the order in which the lines were sent. Lines are numbered as
/// in their source; positions count what is sent, from 0.
#[derive(Debug)]
pub struct Receipts<F> {
    next: u64,
    early: BTreeMap<u64, (u64, LineOutcome<F>)>,
    stored: LineRanges,
    refused: LineRanges,
    unknown: LineRanges,
}

impl<F> Default for Receipts<F> {
    fn default() -> Self {
        Self { next: 0, early: BTreeMap::new(), stored: Vec::new(), refused: Vec::new(), unknown: Vec::new() }
    }
}

impl<F> Receipts<F> {
    /// Takes in what became of the line that was sent at a position.
    pub fn insert(&mut self, position: u64, line: u64, outcome: LineOutcome<F>) {
        self.early.insert(position, (line, outcome));
    }

    /// The next line in order whose outcome is known.
    pub fn next_line(&mut self) -> Option<(u64, LineOutcome<F>)> {
        let (line, outcome) = self.early.remove(&self.next)?;
        self.next += 1;
        self.note(line, &outcome);
        Some((line, outcome))
    }

    /// The outcomes behind a line without one, for the end of a put that was cut short.
    pub fn rest(&mut self) -> Vec<(u64, LineOutcome<F>)> {
        let rest: Vec<_> = core::mem::take(&mut self.early).into_values().collect();
        for (line, outcome) in &rest {
            self.note(*line, outcome);
        }
        rest
    }

    fn note(&mut self, line: u64, outcome: &LineOutcome<F>) {
        let ranges = match outcome {
            LineOutcome::Stored(_) => &mut self.stored,
            LineOutcome::Refused(_) => &mut self.refused,
            LineOutcome::Unknown => &mut self.unknown,
        };
        match ranges.last_mut() {
            Some((_, end)) if *end == line => *end += 1,
            _ => ranges.push((line, line + 1)),
        }
    }

    /// Lines that were acknowledged, of those given out.
    pub fn stored(&self) -> &LineRanges {
        &self.stored
    }

    /// Lines that were refused, of those given out.
    pub fn refused(&self) -> &LineRanges {
        &self.refused
    }

    /// Lines that may be stored or not, of those given out.
    pub fn unknown(&self) -> &LineRanges {
        &self.unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn stored(index: u64) -> LineOutcome<()> {
        LineOutcome::Stored(PutReceipt { index, request_id: String::new(), repeated: false })
    }

    #[test]
    fn outcomes_come_out_in_the_order_of_the_lines() {
        let mut receipts = Receipts::default();
        for position in [1, 3, 4] {
            receipts.insert(position, position + 5, stored(position));
        }
        assert_eq!(receipts.next_line(), None);
        receipts.insert(0, 5, stored(50));
        assert_eq!(receipts.next_line().map(|(line, _)| line), Some(5));
        assert_eq!(receipts.next_line().map(|(line, _)| line), Some(6));
        assert_eq!(receipts.next_line(), None);
        assert_eq!(*receipts.stored(), [(5, 7)]);
        receipts.insert(2, 7, LineOutcome::Unknown);
        assert_eq!(receipts.next_line(), Some((7, LineOutcome::Unknown)));
        assert_eq!(receipts.rest().len(), 2);
        assert_eq!(*receipts.stored(), [(5, 7), (8, 10)]);
        assert_eq!(*receipts.unknown(), [(7, 8)]);
    }
}
