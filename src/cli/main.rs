//! `edgequeue`: the queue service from a terminal or a script.
//!
//! [`args`] is what can be asked for; a file in [`verbs`] carries it out with what [`Context`] holds; [`stop::Stop`] is
//! how it ends when it does not end well. The protocol is in the room `client` of the library; here are its socket, its
//! clock and its threads.

mod args;
mod ask;
mod contexts;
mod driver;
mod http;
mod interrupt;
mod output;
mod progress;
mod settings;
mod socket;
mod stop;
mod units;
mod verbs;

use clap::{CommandFactory, Parser};
use std::process::ExitCode;

use args::{Cli, Command, Verb};
use http::Http;
use output::Out;
use settings::Settings;
use stop::{Exit, Stop};

/// What every verb works with.
struct Context {
    settings: Settings,
    out: Out,
}

impl Context {
    /// The queue that is meant, ready to be asked.
    fn http(&self) -> Result<Http, Stop> {
        Ok(Http::new(self.settings.endpoint()?))
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let out = Out::new(cli.global.json, cli.global.quiet);
    let json = cli.global.json;
    let ended = run(cli, out);
    match ended {
        Ok(exit) => exit.into(),
        Err(stop) => {
            stop.report(json);
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
    let mut context = Context { settings: Settings::resolve(&cli.global)?, out };
    let exit = match cli.command {
        Command::Stream { verb } => match verb {
            Verb::Config => verbs::config::run(&mut context, &cli.global)?,
            Verb::Info => verbs::inspect::info(&mut context)?,
            Verb::Status(args) => verbs::request::status(&mut context, &args)?,
            Verb::Cancel(args) => verbs::request::cancel(&mut context, &args)?,
            Verb::Count(args) => verbs::inspect::count(&mut context, &args)?,
            Verb::Search(args) => verbs::inspect::search(&mut context, &args)?,
            Verb::Settings(args) => verbs::inspect::settings(&mut context, &args)?,
            Verb::Put(args) => verbs::put::run(&mut context, &args)?,
            Verb::Get(args) => verbs::get::run(&mut context, &args)?,
            Verb::Watch(args) => verbs::watch::run(&mut context, &args)?,
            Verb::Commit(args) => verbs::change::commit(&mut context, &args)?,
            Verb::Negative(args) => verbs::change::negative(&mut context, &args)?,
            Verb::Delete(args) => verbs::change::delete(&mut context, &args)?,
            Verb::Trunc(args) => verbs::change::trunc(&mut context, &args)?,
            Verb::End(args) => verbs::change::end(&mut context, &args)?,
        },
        Command::Bench(args) => verbs::bench::run(&mut context, &args)?,
        Command::Context { verb } => verbs::config::contexts(&mut context, &verb)?,
        Command::Completions { .. } => Exit::Ok,
    };
    context.out.flush()?;
    Ok(exit)
}
