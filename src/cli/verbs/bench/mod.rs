//! `bench`.
use crate::{
    Context,
    stop::{Exit, Stop},
};
use clap::Args;
#[derive(Args, Debug)]
pub struct BenchArgs {}
pub fn run(_context: &mut Context, _args: &BenchArgs) -> Result<Exit, Stop> {
    Ok(Exit::Ok)
}
