//! Protobuf, in the vendor's messages.

pub mod fields;
pub mod frame;
pub mod put_entry;
