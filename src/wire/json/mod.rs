//! JSON, as Go's encoder writes it.

pub mod frame;
pub mod go;
pub mod put_entry;
