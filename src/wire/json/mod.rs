//! JSON.

pub mod frame;
pub mod go;
pub mod put_entry;
