//! What a put is asked for.

use clap::Args;
use edgequeue::wire::url::Url;
use std::path::PathBuf;

use super::lines::Lines;
use crate::parse::pair;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  edgequeue stream put -d 'hello' --tags model=a --priority 1
  edgequeue stream put -f requests.txt              # one entry per line
  generate | edgequeue stream put                   # the same from standard input
  edgequeue stream put -f image.png --whole         # the file as one entry
  edgequeue stream put -f requests.txt --from-line 20001
  edgequeue stream put -f requests.txt --once --tags requestId=job-42
  edgequeue stream put -d 'hello' --callback https://example.com/done

Edgequeue services take many lines per request, in order. Other services take one per request, 16 requests at a \
time, so that the order in the queue may differ from the order of the lines; --concurrency 1 keeps it.

An interrupted put says which lines were acknowledged, and with which option the rest is put. With --once the same \
command can be repeated as it is.")]
pub struct PutArgs {
    /// Put this text as one entry
    #[arg(short = 'd', long, value_name = "TEXT", conflicts_with = "file")]
    pub data: Option<String>,
    /// Put every line of this file; `-` is standard input
    #[arg(short = 'f', long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Put the file, or standard input, as one entry
    #[arg(long, conflicts_with_all = ["data", "from_line", "lines"])]
    pub whole: bool,
    /// Priority; higher is delivered first
    #[arg(short = 'p', long, default_value_t = 0, value_name = "N", allow_negative_numbers = true)]
    pub priority: i64,
    /// Tag of the entries; may be repeated
    #[arg(long = "tags", alias = "tag", value_name = "KEY=VALUE", value_parser = pair)]
    pub tags: Vec<(String, String)>,
    /// Path for whoever processes the entries, such as /sdapi/v1/txt2img
    #[arg(long, default_value = "", hide_default_value = true, value_parser = path)]
    pub path: String,
    /// Store nothing that is there already: the tag requestId tells; lines of a file are ID-1, ID-2, ... (edgequeue
    /// services only)
    #[arg(long)]
    pub once: bool,
    /// URL that is told when a request has ended (edgequeue services only)
    #[arg(long, default_value = "", hide_default_value = true, value_name = "URL", value_parser = url)]
    pub callback: String,
    /// Begin with this line
    #[arg(long, value_name = "N", conflicts_with = "data", value_parser = clap::value_parser!(u64).range(1..))]
    pub from_line: Option<u64>,
    /// Put only these lines, such as 5-7,10,20-
    #[arg(long, value_name = "LINES", conflicts_with_all = ["data", "from_line"])]
    pub lines: Option<Lines>,
    /// Requests under way at once [default: 1 with batches, else 16]
    #[arg(short = 'c', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: Option<u16>,
    /// Lines per request where the service takes several; 1 puts each on its own
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub batch: u16,
    /// When the queue is full, try again until it is not
    #[arg(long)]
    pub wait: bool,
}

fn path(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"?#".contains(&byte);
    match text {
        "" => Ok(String::new()),
        _ if text.starts_with('/') && text.bytes().all(plain) => Ok(text.into()),
        _ => Err("it begins with / and is percent-encoded".into()),
    }
}

fn url(text: &str) -> Result<String, String> {
    if !text.is_empty() {
        Url::parse(text)?;
    }
    Ok(text.into())
}
