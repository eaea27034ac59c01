//! Reading request bodies without holding more than is allowed.

use futures_util::StreamExt;
use worker::Request;

use crate::wire::Answer;

/// What is read of a body that is too long, in bytes; see `entry.mjs`, which does the same for bodies nobody reads.
const DISCARD_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Reads a body of at most `max` bytes. A longer one is refused, and never held.
pub async fn read(request: &mut Request, max: u64) -> Result<Vec<u8>, Answer> {
    let declared = request.headers().get("Content-Length").ok().flatten().and_then(|text| text.parse::<u64>().ok());
    if declared.is_some_and(|bytes| bytes > max) {
        return Err(too_large(max));
    }
    if declared.is_some() {
        return request.bytes().await.map_err(broken);
    }
    let Ok(mut chunks) = request.stream() else { return Ok(Vec::new()) };
    let mut body = Vec::new();
    let mut length = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(broken)?;
        length += chunk.len() as u64;
        if length > max {
            body = Vec::new();
        } else {
            body.extend_from_slice(&chunk);
        }
        if length > DISCARD_BYTES_MAX {
            break;
        }
    }
    if length > max { Err(too_large(max)) } else { Ok(body) }
}

fn too_large(max: u64) -> Answer {
    Answer::text(413, format!("the body is larger than the {max} bytes allowed here; send a smaller one"))
}

fn broken(error: worker::Error) -> Answer {
    Answer::bad(format!("the body could not be read: {error}; send the request again"))
}
