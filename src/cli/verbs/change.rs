//! Verbs that change entries or the whole stream: `commit`, `negative`, `delete`, `trunc`, `end`.

use clap::Args;
use edgequeue::client::answer;
use edgequeue::queue::event::Rejection;
use edgequeue::queue::limits::{CODE_CHARS_MAX, DELAY_MS_MAX};
use edgequeue::wire::duration;
use edgequeue::wire::rejection::{GRAMMAR, matches_grammar};
use serde_json::json;

use crate::invocation::Invocation;
use crate::parse::duration_ms;
use crate::stop::{Exit, Stop};
use crate::{ask, http::Http};

/// Indexes of one request: its address stays below what proxies take.
const INDEXES_MAX: usize = 200;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  edgequeue stream commit 4
  edgequeue stream commit 4 5 6 --group demo --user worker-1")]
pub struct CommitArgs {
    /// Indexes of the entries
    #[arg(required = true, value_name = "INDEX")]
    indexes: Vec<u64>,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  edgequeue stream negative 5
  edgequeue stream negative 5 --code OOM --reason 'no memory left'
  edgequeue stream negative 5 --delay 30s           # not delivered before that")]
pub struct NegativeArgs {
    /// Indexes of the entries
    #[arg(required = true, value_name = "INDEX")]
    indexes: Vec<u64>,
    /// Why, for programs: capitalised words such as OOM or BadRequest.Body, or a number
    #[arg(long, default_value = "", hide_default_value = true)]
    code: String,
    /// Why, for people
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    /// How long to wait before they are delivered again: 500ms, 30s, at most 1h (edgequeue services only)
    #[arg(long, default_value = "0s", hide_default_value = true, value_name = "TIME", value_parser = delay_ms)]
    delay: u64,
}

fn delay_ms(text: &str) -> Result<u64, String> {
    match duration_ms(text)? {
        ms if ms > DELAY_MS_MAX => Err(format!("at most {}", duration::print(DELAY_MS_MAX))),
        ms => Ok(ms),
    }
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  edgequeue stream delete 3
  edgequeue stream delete -y 3 4 5")]
pub struct DeleteArgs {
    /// Indexes of the entries
    #[arg(required = true, value_name = "INDEX")]
    indexes: Vec<u64>,
    /// Do not ask
    #[arg(short = 'y', long)]
    yes: bool,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  edgequeue stream trunc 4          # entries 1, 2 and 3 are removed
  edgequeue stream trunc -y 4 -k")]
pub struct TruncArgs {
    /// Index of the first entry that stays; may be beyond the last one
    index: u64,
    /// Do not ask
    #[arg(short = 'y', long)]
    yes: bool,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  edgequeue stream end              # what waits is still delivered
  edgequeue stream end --force -y   # what waits is dropped")]
pub struct EndArgs {
    /// Drop what is waiting
    #[arg(long)]
    force: bool,
    /// Do not ask
    #[arg(short = 'y', long)]
    yes: bool,
}

pub fn commit(call: &mut Invocation, args: &CommitArgs) -> Result<Exit, Stop> {
    let http = call.http()?;
    in_parts(&http, &args.indexes, |http, part| http.ask(&http.endpoint.commit(part), answer::done))?;
    call.out.ok("committed", &json!({ "committed": args.indexes }), "")?;
    Ok(Exit::Ok)
}

pub fn negative(call: &mut Invocation, args: &NegativeArgs) -> Result<Exit, Stop> {
    let rejection = Rejection { delay_ms: args.delay, ..rejection(&args.code, &args.reason)? };
    let http = call.http()?;
    in_parts(&http, &args.indexes, |http, part| http.ask(&http.endpoint.reject(part, &rejection), answer::done))?;
    call.out.ok("negative committed", &json!({ "negative": args.indexes }), "")?;
    Ok(Exit::Ok)
}

/// Code and reason of a negative commit; the code is checked here because a bad one is a mistake in the command.
pub fn rejection(code: &str, reason: &str) -> Result<Rejection, Stop> {
    let advice = "Use capitalised words such as OOM or BadRequest.Body, or a number such as 500.";
    if !code.is_empty() && !matches_grammar(code) {
        return Err(Stop::usage(format!("code must match regular expression: {GRAMMAR}"), advice));
    }
    if code.chars().count() > CODE_CHARS_MAX {
        return Err(Stop::usage(format!("code can not have more than {CODE_CHARS_MAX} characters"), advice));
    }
    Ok(Rejection { code: code.into(), reason: reason.into(), delay_ms: 0 })
}

pub fn delete(call: &mut Invocation, args: &DeleteArgs) -> Result<Exit, Stop> {
    let http = call.http()?;
    let texts: Vec<String> = args.indexes.iter().map(u64::to_string).collect();
    let question = format!("Deleting index(es):\n{} [y/N]", texts.join(", "));
    if !sure(call, args.yes, &question)? {
        return Ok(Exit::Failure);
    }
    in_parts(&http, &args.indexes, |http, part| http.ask(&http.endpoint.delete(part), answer::done))?;
    call.out.ok("deleted", &json!({ "deleted": args.indexes }), "")?;
    Ok(Exit::Ok)
}

pub fn trunc(call: &mut Invocation, args: &TruncArgs) -> Result<Exit, Stop> {
    let http = call.http()?;
    if !sure(call, args.yes, &format!("trunc stream from index: {} [y/N]", args.index))? {
        return Ok(Exit::Failure);
    }
    http.ask(&http.endpoint.truncate(args.index), answer::done)?;
    call.out.ok("truncated", &json!({ "truncated": args.index }), "")?;
    Ok(Exit::Ok)
}

pub fn end(call: &mut Invocation, args: &EndArgs) -> Result<Exit, Stop> {
    let http = call.http()?;
    let what = if args.force { "end stream and drop what is waiting" } else { "end stream" };
    if !sure(call, args.yes, &format!("{what} [y/N]"))? {
        return Ok(Exit::Failure);
    }
    http.ask(&http.endpoint.end(args.force), answer::done)?;
    call.out.ok("ended", &json!({ "ended": true }), "")?;
    Ok(Exit::Ok)
}

/// Asks before something is lost for good.
pub fn sure(call: &mut Invocation, yes: bool, question: &str) -> Result<bool, Stop> {
    let sure = yes || ask::confirm(question, "Add -y to do it without being asked.")?;
    if !sure {
        call.out.info("Nothing was done.");
    }
    Ok(sure)
}

fn in_parts(http: &Http, indexes: &[u64], act: impl Fn(&Http, &[u64]) -> Result<(), Stop>) -> Result<(), Stop> {
    indexes.chunks(INDEXES_MAX).try_for_each(|part| act(http, part))
}
