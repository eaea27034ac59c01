//! How a command ends: exit codes, and errors that say what to do next.

use edgequeue::client::{Failure, FailureKind};
use std::{fmt, io, process::ExitCode};

/// Exit codes. Scripts depend on them: they are in the help and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Something failed that has no code of its own.
    Failure = 1,
    /// The command line, the environment or the configuration makes no sense.
    Usage = 2,
    /// Nothing was found, or the time was up.
    Nothing = 3,
    /// The token is missing or wrong.
    NotAuthorised = 4,
    /// The queue is full, or the entry too large for it.
    Refused = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        (exit as u8).into()
    }
}

/// Why a command stops before its end.
#[derive(Clone, Debug)]
pub struct Stop {
    /// With which code.
    pub exit: Exit,
    /// What happened, without a full stop at its end; empty if nobody is left to read it.
    message: String,
    /// What to do next; may be empty.
    hint: String,
}

impl Stop {
    /// Says what happened and what to do.
    pub fn new(exit: Exit, message: impl fmt::Display, hint: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string(), hint: hint.to_string() }
    }

    /// The command makes no sense as it was given.
    pub fn usage(message: impl fmt::Display, hint: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message, hint)
    }

    /// The same with words in front of what happened.
    pub fn within(self, place: impl fmt::Display) -> Self {
        Self { message: format!("{place}: {}", self.message), ..self }
    }

    /// What happened.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do next.
    pub fn hint(&self) -> &str {
        &self.hint
    }
}

impl From<io::Error> for Stop {
    /// An error while writing to standard output. A reader that went away has what it wanted: nothing is said.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Exit::Ok, "", "");
        }
        Self::new(Exit::Failure, format!("cannot write to standard output: {error}"), "Is the disk full?")
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        let (exit, hint) = match failure.kind {
            FailureKind::NotAuthorised => (
                Exit::NotAuthorised,
                "`edgequeue stream config` shows which token is sent; set the right one with \
                 `edgequeue stream config --token TOKEN`, EDGEQUEUE_TOKEN or --token.",
            ),
            FailureKind::NotFound => (Exit::Nothing, "`edgequeue stream info` shows which entries the queue holds."),
            FailureKind::TooLarge => (
                Exit::Refused,
                "meta.maxPayloadBytes in `edgequeue stream info` is the limit; \
                 `edgequeue stream settings max_payload_size_kb=N` changes it.",
            ),
            FailureKind::Full => (
                Exit::Refused,
                "Try again when entries were consumed, or let `put --wait` do so; \
                 `edgequeue stream info` shows how full the queue is.",
            ),
            FailureKind::Ended => (Exit::Failure, "An ended queue takes nothing more; use another one."),
            FailureKind::Bad => (Exit::Failure, "Change the command as the message says; --help explains its options."),
            FailureKind::Service => {
                (Exit::Failure, "Try again in a moment; if it stays so, look into the service's log.")
            }
            FailureKind::Unreadable => {
                (Exit::Failure, "Is it a queue that answers there? `edgequeue stream config` shows the address.")
            }
        };
        Self::new(exit, failure.text, hint)
    }
}
