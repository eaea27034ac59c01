//! `edgequeue`: the queue service from a terminal or a script.
//!
//! [`args`] is what can be asked for; a file in [`verbs`] carries it out with what
//! [`Invocation`](invocation::Invocation) holds; [`stop::Stop`] is how it ends when it does not end well. The protocol
//! is in the room `client` of the library; here are its socket, its clock and its threads.

mod args;
mod ask;
mod contexts;
mod driver;
mod global;
mod http;
mod interrupt;
mod invocation;
mod output;
mod parse;
mod progress;
mod socket;
mod stop;
mod target;
mod units;
mod verbs;

use clap::{CommandFactory, Parser};
use std::process::ExitCode;

use args::{Cli, Command, Verb};
use invocation::Invocation;
use output::Out;
use stop::{Exit, Stop};
use target::QueueTarget;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let out = Out::new(cli.global.json, cli.global.quiet);
    let json = cli.global.json;
    let ended = run(cli, out);
    match ended {
        Ok(exit) => exit.into(),
        Err(stop) => {
            output::report(&stop, json);
            stop.exit.into()
        }
    }
}

fn run(cli: Cli, out: Out) -> Result<Exit, Stop> {
    // The two places where TLS is spoken must agree on who does the cryptography.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if let Command::Completions { shell } = cli.command {
        clap_complete::generate(shell, &mut Cli::command(), "edgequeue", &mut out.into_stdout());
        return Ok(Exit::Ok);
    }
    let mut call = Invocation { target: QueueTarget::resolve(&cli.global)?, out };
    let exit = match cli.command {
        Command::Stream { verb } => match verb {
            Verb::Config => verbs::config::run(&mut call, &cli.global)?,
            Verb::Info => verbs::inspect::info(&mut call)?,
            Verb::Status(args) => verbs::request::status(&mut call, &args)?,
            Verb::Cancel(args) => verbs::request::cancel(&mut call, &args)?,
            Verb::Count(args) => verbs::inspect::count(&mut call, &args)?,
            Verb::Search(args) => verbs::inspect::search(&mut call, &args)?,
            Verb::Settings(args) => verbs::inspect::settings(&mut call, &args)?,
            Verb::Put(args) => verbs::put::run(&mut call, &args)?,
            Verb::Get(args) => verbs::get::run(&mut call, &args)?,
            Verb::Watch(args) => verbs::watch::run(&mut call, &args)?,
            Verb::Commit(args) => verbs::change::commit(&mut call, &args)?,
            Verb::Negative(args) => verbs::change::negative(&mut call, &args)?,
            Verb::Delete(args) => verbs::change::delete(&mut call, &args)?,
            Verb::Trunc(args) => verbs::change::trunc(&mut call, &args)?,
            Verb::End(args) => verbs::change::end(&mut call, &args)?,
        },
        Command::Bench(args) => verbs::bench::run(&mut call, &args)?,
        Command::Context { verb } => verbs::config::contexts(&mut call, &verb)?,
        Command::Completions { .. } => Exit::Ok,
    };
    call.out.flush()?;
    Ok(exit)
}
