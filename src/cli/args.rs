//! What can be asked for on the command line. Verbs with options of their own keep them in their file.

use clap::{Parser, Subcommand};

use crate::global::Global;
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
