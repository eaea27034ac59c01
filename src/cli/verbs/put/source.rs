//! What is put, cut into batches.

use bytes::Bytes;
use edgequeue::client::LineBatch;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, stdin};
use std::path::Path;

use super::lines::Lines;
use super::plan::{PutInput, PutPlan};
use crate::stop::{Exit, Stop};

const BUFFER_BYTES: usize = 256 * 1024;

/// What comes next.
pub enum Piece {
    Batch(LineBatch),
    /// A line that is longer than the queue takes.
    TooLong {
        position: u64,
        line: u64,
    },
}

/// Lines in their order.
pub struct LineSource {
    reader: Box<dyn BufRead + Send>,
    name: String,
    /// Bytes there are, if known.
    pub bytes_total: Option<u64>,
    /// Whether all of it is one entry.
    whole: bool,
    /// Which lines are wanted.
    lines: Lines,
    /// Longest line.
    pub line_bytes_max: u64,
    /// Most lines of a batch.
    batch_lines: usize,
    line: u64,
    position: u64,
    /// A line that was read but did not fit what came before.
    kept: Option<(u64, Option<Bytes>)>,
}

impl LineSource {
    fn new(reader: Box<dyn BufRead + Send>, name: String, bytes_total: Option<u64>) -> Self {
        Self {
            reader,
            name,
            bytes_total,
            whole: false,
            lines: Lines::starting_at(1),
            line_bytes_max: u64::MAX,
            batch_lines: 1,
            line: 0,
            position: 0,
            kept: None,
        }
    }

    /// Opens where the entries come from.
    pub fn open(input: &PutInput) -> Result<Self, Stop> {
        match input {
            PutInput::Text(text) => Ok(Self::text(text)),
            PutInput::File(path) => Self::file(path),
            PutInput::Stdin => {
                Ok(Self::new(Box::new(BufReader::with_capacity(BUFFER_BYTES, stdin())), "standard input".into(), None))
            }
        }
    }

    /// The same, cut as planned.
    pub fn planned(self, plan: &PutPlan) -> Self {
        Self {
            whole: plan.is_whole,
            lines: plan.lines.clone(),
            line_bytes_max: plan.line_bytes_max,
            batch_lines: plan.batch_lines,
            ..self
        }
    }

    fn text(text: &str) -> Self {
        Self::new(Box::new(Cursor::new(text.as_bytes().to_vec())), "the text".into(), Some(text.len() as u64))
    }

    fn file(path: &Path) -> Result<Self, Stop> {
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
        let (about, file) = opened.map_err(|error| unreadable(&path.display().to_string(), &error))?;
        let bytes_total = about.is_file().then_some(about.len());
        let reader = BufReader::with_capacity(BUFFER_BYTES, file);
        Ok(Self::new(Box::new(reader), path.display().to_string(), bytes_total))
    }

    /// The next piece; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Piece>, Stop> {
        if self.whole {
            return self.all();
        }
        let Some((line, body)) = self.take_line()? else { return Ok(None) };
        let Some(body) = body else {
            self.position += 1;
            return Ok(Some(Piece::TooLong { position: self.position - 1, line }));
        };
        let mut batch = LineBatch::starting_at(line, self.position);
        batch.push(body);
        let mut next_line = line + 1;
        while !batch.is_full(self.batch_lines) {
            match self.take_line()? {
                Some((line, Some(body))) if line == next_line => batch.push(body),
                Some(other) => {
                    self.kept = Some(other);
                    break;
                }
                None => break,
            }
            next_line += 1;
        }
        self.position += batch.bodies.len() as u64;
        Ok(Some(Piece::Batch(batch)))
    }

    fn all(&mut self) -> Result<Option<Piece>, Stop> {
        if self.position > 0 {
            return Ok(None);
        }
        self.position = 1;
        let mut body = Vec::new();
        let read = (&mut self.reader).take(self.line_bytes_max.saturating_add(1)).read_to_end(&mut body);
        read.map_err(|error| unreadable(&self.name, &error))?;
        if body.len() as u64 > self.line_bytes_max {
            return Ok(Some(Piece::TooLong { position: 0, line: 1 }));
        }
        let mut batch = LineBatch::starting_at(1, 0);
        batch.push(body.into());
        Ok(Some(Piece::Batch(batch)))
    }

    /// The next line that is wanted, without its end; without its body when it is too long.
    fn take_line(&mut self) -> Result<Option<(u64, Option<Bytes>)>, Stop> {
        if let Some(kept) = self.kept.take() {
            return Ok(Some(kept));
        }
        loop {
            let Some(wanted) = self.lines.first_from(self.line + 1) else { return Ok(None) };
            let Some(body) = self.read_line().map_err(|error| unreadable(&self.name, &error))? else {
                return Ok(None);
            };
            self.line += 1;
            if self.line == wanted {
                return Ok(Some((wanted, body)));
            }
        }
    }

    /// Never holds more of a line than the queue would take.
    fn read_line(&mut self) -> io::Result<Option<Option<Bytes>>> {
        let mut body = Vec::new();
        // Two more for CR and LF.
        (&mut self.reader).take(self.line_bytes_max.saturating_add(2)).read_until(b'\n', &mut body)?;
        if body.is_empty() {
            return Ok(None);
        }
        if body.last() == Some(&b'\n') {
            body.pop();
            if body.last() == Some(&b'\r') {
                body.pop();
            }
        } else if body.len() as u64 > self.line_bytes_max {
            self.reader.skip_until(b'\n')?;
        }
        let fits = body.len() as u64 <= self.line_bytes_max;
        Ok(Some(fits.then(|| body.into())))
    }
}

fn unreadable(name: &str, error: &io::Error) -> Stop {
    Stop::new(Exit::Failure, format!("cannot read {name}: {error}"), "Look at the file's name and permissions.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str, set: impl FnOnce(&mut LineSource)) -> Vec<(u64, u64, Vec<String>)> {
        let mut source = LineSource::text(text);
        source.batch_lines = 3;
        set(&mut source);
        let mut out = Vec::new();
        while let Ok(Some(piece)) = source.next() {
            out.push(match piece {
                Piece::Batch(batch) => {
                    let body = |body: &Bytes| String::from_utf8_lossy(body).into_owned();
                    (batch.position, batch.line, batch.bodies.iter().map(body).collect())
                }
                Piece::TooLong { position, line } => (position, line, Vec::new()),
            });
        }
        out
    }

    fn expected(list: &[(u64, u64, &[&str])]) -> Vec<(u64, u64, Vec<String>)> {
        list.iter().map(|(p, l, bodies)| (*p, *l, bodies.iter().map(ToString::to_string).collect())).collect()
    }

    #[test]
    fn lines_are_what_is_between_line_feeds() {
        let found = pieces("a\n\nb\r\nc\nlast", |_| {});
        assert_eq!(found, expected(&[(0, 1, &["a", "", "b"]), (3, 4, &["c", "last"])]));
        assert!(pieces("", |_| {}).is_empty());
    }

    #[test]
    fn only_wanted_lines_and_none_that_are_too_long() {
        let lines = "2,4-".parse().unwrap_or_else(|wrong| panic!("{wrong}"));
        let found = pieces("1\n2\n3\n4\n55555\n66666\r\n666666\n7", |source| {
            source.lines = lines;
            source.line_bytes_max = 5;
        });
        let wanted = expected(&[(0, 2, &["2"]), (1, 4, &["4", "55555", "66666"]), (4, 7, &[]), (5, 8, &["7"])]);
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_whole_source_is_one_entry() {
        assert_eq!(pieces("a\nb\n", |source| source.whole = true), expected(&[(0, 1, &["a\nb\n"])]));
        assert_eq!(pieces("", |source| source.whole = true), expected(&[(0, 1, &[""])]));
    }
}
