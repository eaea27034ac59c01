//! One file per verb, or per family of them.

pub mod bench;
pub mod change;
pub mod config;
pub mod get;
pub mod inspect;
pub mod put;
pub mod request;
pub mod watch;
