//! Which answers may be read: together they must fit into memory.

use super::event::CallId;
use alloc::collections::VecDeque;

/// Bytes of answers in memory at one time, results that wait for the sink included: 24 MiB. Further answers are not
/// read until there is room; an object has 128 MB.
const HELD_BYTES_MAX: usize = 24 * 1024 * 1024;

/// The memory of a runner.
#[derive(Debug, Default)]
pub(super) struct Admission {
    /// Answers that have begun and wait for memory, the oldest first, with the bytes each may take.
    waiting: VecDeque<(CallId, usize)>,
    held_bytes: usize,
}

impl Admission {
    /// An answer has begun and may take this many bytes.
    pub fn wait(&mut self, call: CallId, bytes: usize) {
        self.waiting.push_back((call, bytes));
    }

    /// The next answer to read, and the bytes it holds from now on; nothing while there is no room for it. A single
    /// answer always fits.
    pub fn next(&mut self) -> Option<(CallId, usize)> {
        let (_, bytes) = self.waiting.front()?;
        if self.held_bytes > 0 && self.held_bytes + bytes > HELD_BYTES_MAX {
            return None;
        }
        self.held_bytes += bytes;
        self.waiting.pop_front()
    }

    /// The call no longer waits for memory, if it did.
    pub fn leave(&mut self, call: CallId) {
        self.waiting.retain(|(waiting, _)| *waiting != call);
    }

    /// What held `before` bytes holds `after` from now on.
    pub fn resize(&mut self, before: usize, after: usize) {
        let rest = self.held_bytes.checked_sub(before).expect("what is released was held");
        self.held_bytes = rest + after;
    }

    /// Bytes held now.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_wait_in_their_order_until_there_is_room() {
        let mut admission = Admission::default();
        let [large, small, last] = [CallId(1), CallId(2), CallId(3)];
        admission.wait(large, HELD_BYTES_MAX + 1);
        admission.wait(small, 1);
        admission.wait(last, 1);
        assert_eq!(admission.next(), Some((large, HELD_BYTES_MAX + 1)), "a single answer always fits");
        assert_eq!(admission.next(), None, "a small one does not overtake");
        admission.resize(HELD_BYTES_MAX + 1, HELD_BYTES_MAX);
        assert_eq!(admission.next(), None);
        admission.leave(small);
        admission.resize(HELD_BYTES_MAX, HELD_BYTES_MAX - 1);
        assert_eq!(admission.next(), Some((last, 1)));
        assert_eq!((admission.next(), admission.held_bytes()), (None, HELD_BYTES_MAX));
    }
}
