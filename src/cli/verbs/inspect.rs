//! Verbs that only look: `info`, `count`, `search`, and `settings`, which can also change.

use clap::Args;
use edgequeue::client::answer;
use edgequeue::queue::entry::Tags;
use serde_json::json;

use crate::invocation::Invocation;
use crate::parse::pair;
use crate::stop::{Exit, Stop};

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  edgequeue stream count
  edgequeue stream count --priority 1 --tags model=a")]
pub struct CountArgs {
    /// Only entries with this priority
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    priority: Option<i64>,
    /// Only entries with this tag; may be repeated
    #[arg(long = "tags", alias = "tag", value_name = "KEY=VALUE", value_parser = pair)]
    tags: Vec<(String, String)>,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  edgequeue stream search 42
  edgequeue stream search 42 --group demo --json | jq .WaitCount")]
pub struct SearchArgs {
    /// Index of the entry
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    index: u64,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  edgequeue stream settings
  edgequeue stream settings max_delivery=3 max_idle=2m")]
pub struct SettingsArgs {
    /// What to change; nothing: show what is set
    #[arg(value_name = "KEY=VALUE", value_parser = pair)]
    changes: Vec<(String, String)>,
}

pub fn info(call: &mut Invocation) -> Result<Exit, Stop> {
    let http = call.http()?;
    let attributes = http.ask(&http.endpoint.attributes(), answer::attributes)?;
    if call.out.json {
        call.out.object(&json!(attributes))?;
        return Ok(Exit::Ok);
    }
    if !call.out.quiet {
        // The vendor's line ends with a blank.
        call.out.ok("Attributes: ", &json!({}), "")?;
    }
    for (key, value) in attributes {
        call.out.line(&format!("{key} : {value}"))?;
    }
    Ok(Exit::Ok)
}

pub fn count(call: &mut Invocation, args: &CountArgs) -> Result<Exit, Stop> {
    let http = call.http()?;
    let tags: Tags = args.tags.iter().cloned().collect();
    let count = http.ask(&http.endpoint.count(args.priority, &tags), answer::count)?;
    call.out.ok(&count.to_string(), &json!({ "count": count }), &count.to_string())?;
    Ok(Exit::Ok)
}

pub fn search(call: &mut Invocation, args: &SearchArgs) -> Result<Exit, Stop> {
    let http = call.http()?;
    let position = http.ask(&http.endpoint.search(args.index), answer::position)?;
    let text = format!(
        "ConsumerId: {}, IsPending: {}, WaitCount: {}",
        position.consumer_id, position.is_pending, position.wait_count
    );
    call.out.ok(&text, &json!(position), &position.wait_count.to_string())?;
    Ok(Exit::Ok)
}

pub fn settings(call: &mut Invocation, args: &SettingsArgs) -> Result<Exit, Stop> {
    let http = call.http()?;
    if !args.changes.is_empty() {
        let changes: Tags = args.changes.iter().cloned().collect();
        http.ask(&http.endpoint.configure(&changes), answer::done)?;
        call.out.ok("changed", &json!({ "changed": changes }), "")?;
        return Ok(Exit::Ok);
    }
    let text = http.ask(&http.endpoint.settings(), answer::text)?;
    let settings: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).map_err(|_| {
        Stop::new(
            Exit::Failure,
            "the service did not answer with settings",
            "Only edgequeue services have them; on PAI-EAS they are part of the service's JSON.",
        )
    })?;
    if call.out.json {
        call.out.object(&settings.into())?;
        return Ok(Exit::Ok);
    }
    for (key, value) in settings {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        call.out.line(&format!("{key} : {value}"))?;
    }
    Ok(Exit::Ok)
}
