//! A seeded world around the queue machine. Read `script` (what can happen), `world` (how it happens), then `oracle` (what
//! may come of it).

pub mod disk;
pub mod oracle;
pub mod random;
pub mod script;
pub mod segments;
pub mod shrink;
pub mod swarm;
pub mod transcript;
pub mod world;
