//! What is printed: data on standard output, everything else on standard error.

use base64::{Engine, engine::general_purpose::STANDARD};
use edgequeue::queue::entry::Frame;
use edgequeue::wire::http::attributes::tags_text;
use indicatif::ProgressBar;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use crate::stop::Stop;

/// Bytes collected before they are written out.
const BUFFER_BYTES: usize = 64 * 1024;

/// Green, cyan and red, and the end of colour.
const OK: &str = "32";
const INFO: &str = "36";
const ERROR: &str = "31";

/// Where a command prints.
pub struct Out {
    stdout: BufWriter<Stdout>,
    /// One object per line.
    pub json: bool,
    /// Nothing but data.
    pub quiet: bool,
    /// Whether standard output is a terminal.
    pub on_terminal: bool,
    colour: bool,
    bar: Option<ProgressBar>,
}

impl Out {
    pub fn new(json: bool, quiet: bool) -> Self {
        let stdout = io::stdout();
        Self {
            json,
            quiet,
            on_terminal: stdout.is_terminal(),
            colour: coloured(&stdout),
            stdout: BufWriter::with_capacity(BUFFER_BYTES, stdout),
            bar: None,
        }
    }

    /// Standard output itself.
    pub fn into_stdout(self) -> impl Write {
        // A reader that goes away ends the command silently here too.
        struct Deaf(BufWriter<Stdout>);
        impl Write for Deaf {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                Ok(self.0.write(bytes).unwrap_or(bytes.len()))
            }
            fn flush(&mut self) -> io::Result<()> {
                let _ = self.0.flush();
                Ok(())
            }
        }
        Deaf(self.stdout)
    }

    /// From now on a bar is drawn below what is printed.
    pub fn with_bar(&mut self, bar: ProgressBar) {
        self.bar = Some(bar);
    }

    /// How far it is.
    pub fn progress(&self, position: u64) {
        if let Some(bar) = &self.bar {
            if bar.length().is_some_and(|length| length < position) {
                bar.set_length(position);
            }
            bar.set_position(position);
        }
    }

    /// The bar has done its work.
    pub fn without_bar(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// One line of data.
    pub fn line(&mut self, text: &str) -> Result<(), Stop> {
        self.stdout.write_all(text.as_bytes())?;
        Ok(self.stdout.write_all(b"\n")?)
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        Ok(self.stdout.write_all(bytes)?)
    }

    /// One JSON object.
    pub fn object(&mut self, object: &serde_json::Value) -> Result<(), Stop> {
        self.line(&object.to_string())
    }

    /// A result: `[OK] text`, or as an object, or bare.
    pub fn ok(&mut self, text: &str, object: &serde_json::Value, bare: &str) -> Result<(), Stop> {
        if self.json {
            self.object(object)
        } else if self.quiet {
            if bare.is_empty() { Ok(()) } else { self.line(bare) }
        } else {
            let mark = self.mark();
            self.line(&format!("{mark} {text}"))
        }
    }

    fn mark(&self) -> String {
        paint("[OK]", OK, self.colour)
    }

    /// One entry; `number` counts them from 0.
    pub fn entry(&mut self, number: u64, frame: &Frame) -> Result<(), Stop> {
        if self.json {
            return self.object(&entry_object(frame));
        }
        if !self.quiet {
            let head = format!(" [{number} - {}] {} ", frame.index, tags_text(&frame.tags));
            self.stdout.write_all(self.mark().as_bytes())?;
            self.shown(head.as_bytes())?;
        }
        self.shown(&frame.data)?;
        Ok(self.stdout.write_all(b"\n")?)
    }

    /// Bytes of others: on a terminal, what would move its cursor or change its state is spelled out instead.
    fn shown(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        if self.on_terminal {
            return self.bytes(harmless(&String::from_utf8_lossy(bytes)).as_bytes());
        }
        self.bytes(bytes)
    }

    /// Hands everything to the reader.
    pub fn flush(&mut self) -> Result<(), Stop> {
        let Self { stdout, bar, on_terminal, .. } = self;
        match bar {
            Some(bar) if *on_terminal && !stdout.buffer().is_empty() => bar.suspend(|| stdout.flush())?,
            _ => stdout.flush()?,
        }
        Ok(())
    }

    /// Something to know, in the vendor's form: `[INFO] text`.
    pub fn info(&mut self, text: &str) {
        let mark = paint("[INFO]", INFO, coloured(&io::stderr()));
        self.note(&format!("{mark} {text}"));
    }

    /// A line for people.
    pub fn note(&mut self, text: &str) {
        if self.quiet {
            return;
        }
        // In the order in which things happened, where both go to the same place.
        let _ = self.flush();
        // Nobody can be told that standard error is gone.
        let tell = || drop(writeln!(io::stderr(), "{text}"));
        match &self.bar {
            Some(bar) => bar.suspend(tell),
            None => tell(),
        }
    }
}

/// An entry as JSON. Bodies that are no UTF-8 are given in base64, under another name.
fn entry_object(frame: &Frame) -> serde_json::Value {
    let (name, data) = match str::from_utf8(&frame.data) {
        Ok(text) => ("data", text.to_owned()),
        Err(_) => ("data_base64", STANDARD.encode(&frame.data)),
    };
    serde_json::json!({ "index": frame.index, "tags": frame.tags, name: data })
}

/// A text without control characters, but for tabs and line feeds.
fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && !matches!(character, '\t' | '\n') {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// Whether to use colours there: on terminals that have them, unless NO_COLOR is set.
fn coloured(stream: &impl anstream::stream::RawStream) -> bool {
    anstream::AutoStream::choice(stream) != anstream::ColorChoice::Never
}

fn paint(text: &str, colour: &str, on: bool) -> String {
    if on { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.into() }
}

/// Tells on standard error why a command stopped, and what to do next.
pub fn report(stop: &Stop, json: bool) {
    let (message, hint, exit) = (stop.message(), stop.hint(), stop.exit as u8);
    if message.is_empty() {
        return;
    }
    let mut stderr = io::stderr();
    let text = if json {
        serde_json::json!({ "error": message, "hint": hint, "exit": exit }).to_string()
    } else {
        let mark = paint("[ERROR]", ERROR, coloured(&stderr));
        let hint = if hint.is_empty() { String::new() } else { format!("\n{hint}") };
        format!("{mark} {message}{hint}")
    };
    // Nobody can be told that standard error is gone.
    let _ = writeln!(stderr, "{text}");
}
