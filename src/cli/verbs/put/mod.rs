//! `stream put`: lines in, acknowledgements out.
//!
//! [`args`] is what can be asked for and [`plan`] what will be sent. A reader cuts the source into batches
//! ([`source`]), senders put them ([`sender`]), and the main thread prints what became of each line, in order
//! ([`run`]). No more is ever held than the few batches on their way.

mod args;
mod lines;
mod plan;
mod run;
mod sender;
mod source;

pub use args::PutArgs;
pub use run::run;
