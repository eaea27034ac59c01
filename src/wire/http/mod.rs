//! HTTP: requests become calls, replies become answers.

pub mod address;
pub mod attributes;
pub mod auth;
pub mod batch;
pub mod cors;
mod knob;
pub mod operation;
pub mod parameters;
pub mod parse;
pub mod progress;
pub mod reply;
pub mod settings;
