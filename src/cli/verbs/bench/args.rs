//! What a bench is asked for.

use clap::Args;
use edgequeue::queue::limits::WINDOW_MAX;

use crate::parse::duration_ms;
use crate::units;

#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  edgequeue bench
  edgequeue bench --size 16KB --concurrency 32 --duration 30s
  edgequeue bench --batch 100 --json

A bench puts entries with the tag bench=edgequeue and consumes them in the group edgequeue-bench. Use a queue of its \
own: other groups of the queue would be delivered the entries too, and keep them there.

When producers are faster than the consumer, end-to-end times show the waiting; --in-flight bounds it.")]
pub struct BenchArgs {
    /// Length of the bodies
    #[arg(short = 's', long, default_value = "1KB", value_parser = units::parse_size)]
    pub size: usize,
    /// Producers, each waiting for its answer before it puts again
    #[arg(short = 'c', long, default_value_t = 8, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
    /// How long to put
    #[arg(short = 'd', long, default_value = "10s", value_name = "TIME", value_parser = duration_ms)]
    pub duration: u64,
    /// Entries per put, on services that take several
    #[arg(short = 'b', long, default_value_t = 1, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub batch: u16,
    /// Window of the consumer
    #[arg(short = 'w', long, default_value_t = 1_000, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(WINDOW_MAX)))]
    pub window: u32,
    /// Entries that may be put and not yet delivered; 0: any number
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub in_flight: u64,
}
