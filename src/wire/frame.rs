//! Frames and lists of frames.
use alloc::vec::Vec;
use bytes::Bytes;

/// One frame of an HTTP watch: its length in four bytes, big-endian, and the encoded frame.
pub fn delimited(_frame: &[u8]) -> Bytes {
    todo!()
}

/// `DataFrameListProto` of already encoded frames.
pub fn list(_frames: &[Bytes]) -> Vec<u8> {
    todo!()
}
