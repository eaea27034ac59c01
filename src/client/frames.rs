//! Frames cut from an endless HTTP answer, where each has its length in front.

use bytes::{Buf, Bytes, BytesMut};

/// Longest frame that is waited for, in bytes: far above what any queue takes.
const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of the length in front of a frame, big-endian.
const LENGTH_BYTES: usize = 4;

/// The answer does not consist of frames: a length in it makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer does not consist of frames")]
pub struct NoFrames;

/// Collects the pieces of an answer until they make whole frames.
#[derive(Debug, Default)]
pub struct FrameReader(BytesMut);

impl FrameReader {
    /// Takes in a piece of the answer.
    pub fn push(&mut self, piece: &[u8]) {
        self.0.extend_from_slice(piece);
    }

    /// The next whole frame, without its length; `None` until more has arrived.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, NoFrames> {
        let Some(length) = self.0.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(NoFrames);
        }
        if self.0.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        self.0.advance(LENGTH_BYTES);
        Ok(Some(self.0.split_to(length).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_whole_however_the_answer_is_cut() {
        let bytes = b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01c";
        for cut in 0..bytes.len() {
            let (mut reader, mut frames) = (FrameReader::default(), Vec::new());
            for piece in [&bytes[..cut], &bytes[cut..]] {
                reader.push(piece);
                while let Some(frame) = reader.next_frame().expect("frames") {
                    frames.push(frame);
                }
            }
            assert_eq!(frames, [&b"ab"[..], b"", b"c"], "cut at {cut}");
        }
        let mut reader = FrameReader::default();
        reader.push(b"<html>");
        assert_eq!(reader.next_frame(), Err(NoFrames));
    }
}
