//! Questions. They are asked on standard error and only of a person.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc;
use std::thread;

use crate::stop::Stop;

/// Whether there is a person to ask.
pub fn possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks and waits. `question` is printed as it is; only a yes is a yes.
pub fn confirm(question: &str, advice: &str) -> Result<bool, Stop> {
    if !possible() {
        return Err(Stop::usage("there is no terminal to ask for confirmation on", advice));
    }
    print(question);
    let mut line = String::new();
    io::stdin()
        .read_line(&mut line)
        .map_err(|error| Stop::usage(format!("cannot read the answer: {error}"), advice))?;
    if line.is_empty() {
        // The end of input leaves the cursor behind the question.
        let _ = writeln!(io::stderr());
    }
    Ok(is_yes(&line, false))
}

/// Prints a question and leaves the cursor behind it.
pub fn print(question: &str) {
    let mut stderr = io::stderr();
    // Nobody can be told that standard error is gone.
    let _ = write!(stderr, "{question} ");
    let _ = stderr.flush();
}

/// Whether an answer means yes; an empty one means `default`.
pub fn is_yes(answer: &str, default: bool) -> bool {
    match answer.trim().to_ascii_lowercase().as_str() {
        "" => default,
        "y" | "yes" => true,
        _ => false,
    }
}

/// Reads answers while other things happen.
pub struct Answers(mpsc::Sender<()>);

impl Answers {
    /// `tell` is called with each line, or with `None` at the end of input.
    pub fn new(tell: impl Fn(Option<String>) + Send + 'static) -> Self {
        let (wanted, wants) = mpsc::channel::<()>();
        thread::spawn(move || {
            while wants.recv().is_ok() {
                let mut line = String::new();
                let read = io::stdin().read_line(&mut line).unwrap_or(0);
                tell((read > 0).then_some(line));
            }
        });
        Self(wanted)
    }

    /// Asks for one line.
    pub fn want(&self) {
        // The reader only ends with the process.
        let _ = self.0.send(());
    }
}
