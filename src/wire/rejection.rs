//! Code and reason of a negative commit.
use super::status::Answer;
use crate::queue::event::Rejection;

/// Reads the form body of a negative commit; both fields may be missing.
pub fn parse(_body: &[u8]) -> Result<Rejection, Answer> {
    todo!()
}
