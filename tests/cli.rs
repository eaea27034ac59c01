//! The command line against a running service, whose address and token are in EDGEQUEUE_URL and EDGEQUEUE_TOKEN:
//! `npm test -- cli` starts one. Every test has a queue of its own.
#![cfg(unix)]

#[path = "cli/support.rs"]
mod support;

#[path = "cli/proxy.rs"]
mod proxy;

#[path = "cli/config.rs"]
mod config;
#[path = "cli/exits.rs"]
mod exits;
#[path = "cli/large.rs"]
mod large;
#[path = "cli/requests.rs"]
mod requests;
#[path = "cli/terminal.rs"]
mod terminal;
#[path = "cli/tls.rs"]
mod tls;
#[path = "cli/transcripts.rs"]
mod transcripts;
#[path = "cli/verbs.rs"]
mod verbs;
#[path = "cli/watch.rs"]
mod watch;
