//! Requests and answers of HTTP.

pub mod address;
pub mod attributes;
pub mod auth;
pub mod batch;
pub mod cors;
pub mod operation;
pub mod parse;
pub mod progress;
pub mod query;
pub mod reply;
pub mod settings;
