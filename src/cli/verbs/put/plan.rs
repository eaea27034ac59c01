//! What a put will send, decided before anything is opened or sent.

use edgequeue::client::{Put, answer};
use edgequeue::queue::entry::{TAG_REQUEST_ID, Tags};
use edgequeue::queue::limits::DEDUP_LOOKUPS_MAX;
use std::path::PathBuf;

use super::args::PutArgs;
use super::lines::Lines;
use crate::stop::Stop;

/// Single puts under way at once, unless asked otherwise.
const SINGLES: usize = 16;
/// Longest line for a queue that does not say how long a body may be, in bytes.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Where the entries come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutInput {
    Text(String),
    File(PathBuf),
    Stdin,
}

/// What will be sent.
#[derive(Clone, Debug)]
pub struct PutPlan {
    pub input: PutInput,
    /// Whether all of it is one entry.
    pub is_whole: bool,
    /// Which lines are put.
    pub lines: Lines,
    /// Longest line that is put, in bytes.
    pub line_bytes_max: u64,
    /// Most lines of a request.
    pub batch_lines: usize,
    /// Requests under way at once.
    pub senders: usize,
    pub put: Put,
    /// What the request ids of lines begin with, when each needs one of its own.
    pub request_id: Option<String>,
    /// Whether to wait while the queue is full.
    pub waits: bool,
}

impl PutPlan {
    /// What is asked for, for a service of which nothing is known yet.
    pub fn new(args: &PutArgs, stdin_is_terminal: bool) -> Result<Self, Stop> {
        let input = match (&args.data, &args.file) {
            (Some(text), _) => PutInput::Text(text.clone()),
            (None, Some(file)) if file.as_os_str() != "-" => PutInput::File(file.clone()),
            (None, None) if stdin_is_terminal => {
                return Err(Stop::usage(
                    "there is nothing to put",
                    "Give a text with -d, a file with -f, or lines on standard input.",
                ));
            }
            _ => PutInput::Stdin,
        };
        let tags: Tags = args.tags.iter().cloned().collect();
        let request_id = tags.get(TAG_REQUEST_ID).filter(|id| !id.is_empty()).cloned();
        if args.once && request_id.is_none() {
            return Err(Stop::usage(
                "--once needs a request id, by which it recognizes what is there already",
                "Give one of your own with --tags requestId=ID; the lines of a file get ID-1, ID-2 and so on.",
            ));
        }
        let is_whole = args.whole || matches!(input, PutInput::Text(_));
        Ok(Self {
            input,
            is_whole,
            lines: match (args.from_line, &args.lines) {
                (Some(from), _) => Lines::starting_at(from),
                (None, Some(lines)) => lines.clone(),
                (None, None) => Lines::starting_at(1),
            },
            line_bytes_max: LINE_BYTES_MAX,
            batch_lines: 1,
            senders: args.concurrency.map_or(if is_whole { 1 } else { SINGLES }, usize::from),
            put: Put {
                tags,
                priority: args.priority,
                path: args.path.clone(),
                once: args.once,
                callback: args.callback.clone(),
            },
            // Lines need request ids that tell them apart.
            request_id: request_id.filter(|_| args.once && !is_whole),
            waits: args.wait,
        })
    }

    /// Whether only an edgequeue can do what is asked for.
    fn needs_edgequeue(&self) -> bool {
        self.put.once || !self.put.callback.is_empty()
    }

    /// Whether it matters what the service can do: a single entry is put in the same way everywhere.
    pub fn depends_on_service(&self) -> bool {
        !self.is_whole || self.needs_edgequeue()
    }

    /// Fits the plan to a queue with these attributes.
    pub fn fit(&mut self, args: &PutArgs, attributes: &Tags) -> Result<(), Stop> {
        let is_edgequeue = answer::is_edgequeue(attributes);
        if self.needs_edgequeue() && !is_edgequeue {
            return Err(Stop::usage(
                "this service is not an edgequeue: it has neither put-once nor callbacks",
                "Put without --once and --callback.",
            ));
        }
        self.line_bytes_max = answer::payload_bytes_max(attributes).unwrap_or(LINE_BYTES_MAX);
        if is_edgequeue && !self.is_whole {
            let lines_max = if self.put.once { DEDUP_LOOKUPS_MAX } else { usize::MAX };
            self.batch_lines = usize::from(args.batch).min(lines_max);
        }
        // One batch after the other keeps the order of the lines.
        if self.batch_lines > 1 && args.concurrency.is_none() {
            self.senders = 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: PutArgs,
    }

    fn args(line: &[&str]) -> PutArgs {
        Line::try_parse_from([&["put"], line].concat()).unwrap_or_else(|wrong| panic!("{wrong}")).args
    }

    fn plan(line: &[&str], attributes: &[(&str, &str)]) -> Result<PutPlan, String> {
        let (args, attributes) = (args(line), attributes.iter().map(|(key, value)| ((*key).into(), (*value).into())));
        let mut plan = PutPlan::new(&args, true).map_err(|stop| stop.message().to_owned())?;
        plan.fit(&args, &attributes.collect()).map_err(|stop| stop.message().to_owned())?;
        Ok(plan)
    }

    const OURS: (&str, &str) = ("meta.backend", "edgequeue");

    #[test]
    fn our_service_takes_batches_in_order_and_others_single_puts_side_by_side() {
        let shape = |plan: PutPlan| (plan.batch_lines, plan.senders);
        assert_eq!(plan(&["-f", "x"], &[OURS]).map(shape), Ok((10_000, 1)));
        assert_eq!(plan(&["-f", "x"], &[]).map(shape), Ok((1, SINGLES)));
        assert_eq!(plan(&["-f", "x", "--batch", "1"], &[OURS]).map(shape), Ok((1, SINGLES)));
        assert_eq!(plan(&["-f", "x", "-c", "3"], &[OURS]).map(shape), Ok((10_000, 3)));
        assert_eq!(plan(&["-f", "x", "--whole"], &[OURS]).map(shape), Ok((1, 1)));
        let once = ["-f", "x", "--once", "--tags", "requestId=job"];
        assert_eq!(plan(&once, &[OURS]).map(shape), Ok((DEDUP_LOOKUPS_MAX, 1)));
    }

    #[test]
    fn lines_have_request_ids_of_their_own_only_where_they_need_them() {
        let id = |line: &[&str]| plan(line, &[OURS]).map(|plan| plan.request_id);
        assert_eq!(id(&["-f", "x", "--once", "--tags", "requestId=job"]), Ok(Some("job".into())));
        assert_eq!(id(&["-d", "x", "--once", "--tags", "requestId=job"]), Ok(None), "one entry has the tag itself");
        assert_eq!(id(&["-f", "x", "--tags", "requestId=job"]), Ok(None));
    }

    #[test]
    fn what_cannot_be_done_is_refused_before_anything_is_sent() {
        assert!(plan(&[], &[OURS]).is_err_and(|why| why == "there is nothing to put"));
        assert!(plan(&["-d", "x", "--once"], &[OURS]).is_err_and(|why| why.starts_with("--once needs")));
        let other = plan(&["-d", "x", "--callback", "https://a/"], &[]);
        assert!(other.is_err_and(|why| why.starts_with("this service is not an edgequeue")));
        assert!(!PutPlan::new(&args(&["-d", "x"]), true).is_ok_and(|plan| plan.depends_on_service()));
    }
}
