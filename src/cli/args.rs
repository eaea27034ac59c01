//! What can be asked for on the command line. Verbs with options of their own keep them in their file.

use clap::{Args, Parser, Subcommand};

use crate::verbs::{
    bench::BenchArgs, change, config::ContextVerb, get::GetArgs, inspect, put::PutArgs, request, watch::WatchArgs,
};

/// Work with a queue of edgequeue or of PAI-EAS.
#[derive(Debug, Parser)]
#[command(
    name = "edgequeue",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  edgequeue stream config --url http://127.0.0.1:8787/api/predict/demo --token dev-token
  edgequeue stream put -d 'hello'
  edgequeue stream watch
  edgequeue bench --duration 10s

Exit codes:
  0  done
  1  failure
  2  usage
  3  nothing found, or time is up
  4  not authorised
  5  refused: the queue is full, or the entry too large"
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command. Each wins over its environment variable, and that over the context.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Queue and output")]
pub struct Global {
    /// Address of the queue, such as http://127.0.0.1:8787/api/predict/demo [env: EDGEQUEUE_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub url: Option<String>,
    /// Token of the service; `-` reads it from standard input [env: EDGEQUEUE_TOKEN]
    #[arg(long, global = true, value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Consumer group [env: EDGEQUEUE_GROUP] [default: default_group]
    #[arg(long, global = true, value_name = "NAME")]
    pub group: Option<String>,
    /// Consumer, unique in its group [env: EDGEQUEUE_USER] [default: default_user]
    #[arg(long, global = true, value_name = "NAME")]
    pub user: Option<String>,
    /// Named set of the four above [env: EDGEQUEUE_CONTEXT] [default: the one in use]
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// The output queue of the service instead of its input queue
    #[arg(short = 'k', long, global = true)]
    pub sink: bool,
    /// The queue of dead letters
    #[arg(long, global = true)]
    pub rear: bool,
    /// One JSON object per line on standard output, errors as one on standard error
    #[arg(long, global = true)]
    pub json: bool,
    /// Nothing but the data itself: indexes of a put, bodies of a get or watch
    #[arg(short = 'q', long, global = true)]
    pub quiet: bool,
}

/// The first word.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Put, get, watch and everything else a queue does
    #[command(after_help = "\
Examples:
  edgequeue stream put -f requests.txt --priority 1
  edgequeue stream get -k -l 10 --timeout 3s
  edgequeue stream watch --auto-commit --json | jq .data")]
    Stream {
        #[command(subcommand)]
        verb: Verb,
    },
    /// Measure how fast a queue is
    Bench(BenchArgs),
    /// List, choose and remove contexts; `stream config` makes them
    #[command(after_help = "\
Examples:
  edgequeue stream config --context prod --url https://example.com/api/predict/demo --token TOKEN
  edgequeue context use prod
  edgequeue context list")]
    Context {
        #[command(subcommand)]
        verb: ContextVerb,
    },
    /// Print a completion script for a shell
    #[command(after_help = "\
Examples:
  edgequeue completions bash > ~/.local/share/bash-completion/completions/edgequeue
  edgequeue completions zsh > ~/.zfunc/_edgequeue
  edgequeue completions fish > ~/.config/fish/completions/edgequeue.fish")]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// The verb after `stream`.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Save address, token, group and user; without options show what is used and where it comes from
    #[command(after_help = "\
Examples:
  edgequeue stream config --url http://127.0.0.1:8787/api/predict/demo --token dev-token
  edgequeue stream config --context prod --url https://example.com/api/predict/demo --token - < token.txt
  edgequeue stream config")]
    Config,
    /// Show the attributes of the queue
    #[command(after_help = "\
Examples:
  edgequeue stream info
  edgequeue stream info -k --json | jq -r '.\"stream.length\"'")]
    Info,
    /// Put entries: a text, or every line of a file or of standard input
    Put(PutArgs),
    /// Read entries, and remove them unless told to keep them
    Get(GetArgs),
    /// Remove entries
    Delete(change::DeleteArgs),
    /// Remove all entries before an index
    Trunc(change::TruncArgs),
    /// Be pushed entries as they come, and commit them
    Watch(WatchArgs),
    /// Say that entries are done
    Commit(change::CommitArgs),
    /// Say that entries could not be processed: they are delivered again, or die
    Negative(change::NegativeArgs),
    /// Show what became of requests: queued, running, done, failed (edgequeue services only)
    Status(request::StatusArgs),
    /// Cancel requests that are queued or running (edgequeue services only)
    Cancel(request::CancelArgs),
    /// Show where an entry stands
    Search(inspect::SearchArgs),
    /// Count entries
    Count(inspect::CountArgs),
    /// End the stream: it takes no more entries
    End(change::EndArgs),
    /// Show or change settings of the queue (edgequeue services only)
    Settings(inspect::SettingsArgs),
}

/// Reads `key=value`. Names that begin with `_` are parameters of the protocol.
pub fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as key=value")?;
    if key.is_empty() {
        return Err("the name before = is empty".into());
    }
    if key.starts_with('_') {
        return Err(format!("tag key {key:?} contains prefix _ which is reserved"));
    }
    Ok((key.into(), value.into()))
}

/// Reads a duration as Go writes it, in milliseconds.
pub fn duration_ms(text: &str) -> Result<u64, String> {
    edgequeue::wire::duration::parse(text)
}
