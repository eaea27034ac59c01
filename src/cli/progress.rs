//! Bars for what takes long, on standard error and only where a person sees them.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::time::Duration;

/// A bar over bytes, or over entries; without a total it only counts. `None` where no person would see it.
pub fn bar(total: Option<u64>, bytes: bool, quiet: bool) -> Option<ProgressBar> {
    if quiet || !stderr().is_terminal() {
        return None;
    }
    let template = match (total.is_some(), bytes) {
        (true, true) => "{bar:30} {percent:>3}%  {bytes}/{total_bytes}  {bytes_per_sec}  {msg}  {eta} left",
        (true, false) => "{bar:30} {percent:>3}%  {pos}/{len}  {per_sec}  {msg}  {eta} left",
        (false, true) => "{spinner} {bytes}  {bytes_per_sec}  {msg}  {elapsed}",
        (false, false) => "{spinner} {pos}  {per_sec}  {msg}  {elapsed}",
    };
    let bar = match total {
        Some(total) => ProgressBar::new(total),
        None => ProgressBar::no_length(),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    Some(bar)
}

/// A bar over time.
pub fn time(total: Duration, quiet: bool) -> Option<ProgressBar> {
    let bar = bar(Some(total.as_millis() as u64), false, quiet)?;
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3}%  {msg}") {
        bar.set_style(style);
    }
    Some(bar)
}
