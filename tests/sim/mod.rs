//! A seeded world around the real broker. Read `script` (what can happen), `world` and `clients` (how it happens),
//! `judge` and `oracle` (what may come of a turn), then `outside` (what may be seen of it).

pub mod clients;
pub mod disk;
pub mod judge;
pub mod oracle;
pub mod outside;
pub mod random;
pub mod requests;
pub mod script;
pub mod segments;
pub mod shrink;
pub mod swarm;
pub mod transcript;
pub mod world;
