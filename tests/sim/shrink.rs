//! Makes a failing script short: leaves out ever smaller runs of steps as long as what is left still fails.

use super::script::Script;

/// The shortest failing script found within this many tries.
pub fn shrink(script: &Script, mut fails: impl FnMut(&Script) -> bool, mut tries: usize) -> Script {
    let mut best = script.clone();
    let mut chunk = best.ops.len().div_ceil(2).max(1);
    loop {
        let mut removed = false;
        let mut start = 0;
        while start < best.ops.len() {
            if tries == 0 {
                return best;
            }
            tries -= 1;
            let mut shorter = best.clone();
            shorter.ops.drain(start..(start + chunk).min(best.ops.len()));
            if fails(&shorter) {
                best = shorter;
                removed = true;
            } else {
                start += chunk;
            }
        }
        if chunk == 1 && !removed {
            return best;
        }
        chunk = if removed { chunk } else { (chunk / 2).max(1) };
        chunk = chunk.min(best.ops.len().max(1));
    }
}
