//! Verbs about requests, by request id: `status`, `cancel`.

use clap::Args;
use edgequeue::client::answer::{self, Cancelled};
use edgequeue::wire::{Progress, duration};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::change::sure;
use crate::http::Http;
use crate::invocation::Invocation;
use crate::stop::{Exit, Stop};

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  edgequeue stream status 6f1c0a52-7d3e-8a10-9c00-000000000007
  edgequeue stream status ID1 ID2 --json | jq -r .status

A request is queued, running, done, failed or unknown. Exit code 3: at least one is unknown.")]
pub struct StatusArgs {
    /// Request ids, as the puts told them
    #[arg(required = true, value_name = "REQUEST_ID", value_parser = request_id)]
    request_ids: Vec<String>,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  edgequeue stream cancel 6f1c0a52-7d3e-8a10-9c00-000000000007
  edgequeue stream cancel -y ID1 ID2

A request that has ended cannot be cancelled (exit code 1); of one that is unknown there is nothing to cancel (3).")]
pub struct CancelArgs {
    /// Request ids, as the puts told them
    #[arg(required = true, value_name = "REQUEST_ID", value_parser = request_id)]
    request_ids: Vec<String>,
    /// Do not ask
    #[arg(short = 'y', long)]
    yes: bool,
}

fn request_id(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("it is empty".into()) } else { Ok(text.into()) }
}

pub fn status(call: &mut Invocation, args: &StatusArgs) -> Result<Exit, Stop> {
    let http = call.http()?;
    let mut exit = Exit::Ok;
    for request_id in &args.request_ids {
        let progress = http.ask(&http.endpoint.status(request_id), answer::progress)?;
        if progress == Progress::Unknown {
            exit = Exit::Nothing;
        }
        let object = serde_json::from_str(&progress.to_json(request_id)).unwrap_or(Value::Null);
        let text = format!("{request_id} {}", told(&progress, now_ms()));
        call.out.ok(&text, &object, progress.word())?;
    }
    Ok(exit)
}

pub fn cancel(call: &mut Invocation, args: &CancelArgs) -> Result<Exit, Stop> {
    let http = call.http()?;
    let question = format!("Cancelling request(s):\n{} [y/N]", args.request_ids.join(", "));
    if !sure(call, args.yes, &question)? {
        return Ok(Exit::Failure);
    }
    let mut exit = Exit::Ok;
    for request_id in &args.request_ids {
        match cancel_one(call, &http, request_id)? {
            Exit::Ok => {}
            // What has ended weighs more than what is not there.
            failed if exit != Exit::Failure => exit = failed,
            _ => {}
        }
    }
    Ok(exit)
}

fn cancel_one(call: &mut Invocation, http: &Http, request_id: &str) -> Result<Exit, Stop> {
    let (exit, object, why) = match http.ask(&http.endpoint.cancel(request_id), answer::cancelled)? {
        Cancelled::Done(index) => {
            let object = json!({ "requestId": request_id, "status": "cancelled", "index": index });
            call.out.ok(&format!("{request_id} cancelled: entry {index}"), &object, "cancelled")?;
            return Ok(Exit::Ok);
        }
        Cancelled::TooLate(why) => {
            (Exit::Failure, json!({ "requestId": request_id, "status": "ended", "error": why }), why)
        }
        Cancelled::Unknown => {
            let why = "there is no such request, or it is no longer known".to_string();
            (Exit::Nothing, json!({ "requestId": request_id, "status": "unknown" }), why)
        }
    };
    if call.out.json {
        call.out.object(&object)?;
    } else {
        call.out.note(&format!("[FAIL] {request_id}: {why}"));
    }
    Ok(exit)
}

/// What became of a request, in words.
fn told(progress: &Progress, now_ms: u64) -> String {
    let failure = |code: &str, reason: &str| match (code, reason) {
        ("", "") => String::new(),
        (text, "") | ("", text) => format!(" ({text})"),
        (code, reason) => format!(" ({code}: {reason})"),
    };
    match progress {
        Progress::Queued { index, position, attempts, not_before_ms, code, reason } => {
            let mut text = format!("queued: entry {index}, position {position}", index = index.0);
            if *attempts > 0 {
                text += &format!(", failed {attempts} times{}", failure(code, reason));
            }
            if *not_before_ms > now_ms {
                text += &format!(", again in {}", duration::print(not_before_ms - now_ms));
            }
            text
        }
        Progress::Running { index, attempt, since_ms, consumer } => {
            let since = duration::print(now_ms.saturating_sub(*since_ms));
            format!("running: entry {}, attempt {attempt}, at {consumer} for {since}", index.0)
        }
        Progress::Done { sink_index } => format!("done: entry {} of the sink", sink_index.0),
        Progress::Failed { code, reason, sink_index, rear_index } => {
            let mut text = format!("failed{}", failure(code, reason));
            for (place, index) in [("the sink", sink_index), ("the rear queue", rear_index)] {
                text += &index.map(|index| format!(", entry {} of {place}", index.0)).unwrap_or_default();
            }
            text
        }
        Progress::Unknown => "unknown".into(),
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as u64
}
