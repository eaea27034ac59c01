//! What every verb works with.

use crate::http::Http;
use crate::output::Out;
use crate::stop::Stop;
use crate::target::QueueTarget;

/// The command as it was called: which queue is meant, and where to print.
pub struct Invocation {
    pub target: QueueTarget,
    pub out: Out,
}

impl Invocation {
    /// The queue that is meant, ready to be asked.
    pub fn http(&self) -> Result<Http, Stop> {
        Ok(Http::new(self.target.endpoint()?))
    }
}
