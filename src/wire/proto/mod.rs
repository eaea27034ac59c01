//! Protobuf.

pub mod fields;
pub mod frame;
pub mod put_entry;
