//! `stream config` and `context`.

use clap::Subcommand;
use serde_json::json;

use crate::Context;
use crate::args::Global;
use crate::contexts::{DEFAULT, checked};
use crate::settings::{Setting, Settings, masked};
use crate::stop::{Exit, Stop};

/// What to do with contexts.
#[derive(Debug, Subcommand)]
pub enum ContextVerb {
    /// List all contexts; a star marks the one in use
    List,
    /// Use a context from now on
    Use {
        /// Which
        name: String,
    },
    /// Remove a context
    Remove {
        /// Which
        name: String,
    },
}

/// Saves what was given as flags; then, or if nothing was, shows what is used.
pub fn run(context: &mut Context, global: &Global) -> Result<Exit, Stop> {
    let given = [&global.url, &global.token, &global.group, &global.user];
    if given.iter().any(|flag| flag.is_some()) {
        save(&mut context.settings, global)?;
        let name = &context.settings.context.value;
        context.out.info(&format!("Saved context {name}: {}", context.settings.contexts.file(name).display()));
        context.settings = Settings::resolve(&Global { context: Some(name.clone()), ..Global::default() })?;
        return Ok(Exit::Ok);
    }
    show(context)
}

fn save(settings: &mut Settings, global: &Global) -> Result<(), Stop> {
    // What cannot be used must not be saved.
    let mut stored = settings.stored.clone().unwrap_or_default();
    let (known, flag) = (&mut stored, |setting: &Setting| Some(setting.value.clone()));
    if global.url.is_some() {
        known.url = settings.url.as_ref().and_then(flag);
    }
    if global.token.is_some() {
        known.token = settings.token.as_ref().and_then(flag).filter(|token| !token.is_empty());
    }
    if global.group.is_some() {
        known.group = flag(&settings.group);
    }
    if global.user.is_some() {
        known.user = flag(&settings.user);
    }
    settings.stored = Some(stored.clone());
    if settings.url.is_some() {
        settings.endpoint()?;
    }
    settings.contexts.save(&settings.context.value, &stored)?;
    // The first context is the one in use.
    if settings.contexts.names()?.len() == 1 {
        settings.contexts.choose(&settings.context.value)?;
    }
    Ok(())
}

fn show(context: &mut Context) -> Result<Exit, Stop> {
    let settings = context.settings.clone();
    let token = settings.token.map(|token| Setting { value: masked(&token.value), ..token });
    let rows = [
        ("context", Some(settings.context.clone())),
        ("url", settings.url),
        ("token", token),
        ("group", Some(settings.group)),
        ("user", Some(settings.user)),
    ];
    if context.out.json {
        let object: serde_json::Map<String, serde_json::Value> = rows
            .into_iter()
            .filter_map(|(name, setting)| setting.map(|setting| (name, setting)))
            .map(|(name, setting)| {
                (name.into(), json!({ "value": setting.value, "source": setting.source.to_string() }))
            })
            .collect();
        context.out.object(&object.into())?;
        return Ok(Exit::Ok);
    }
    for (name, setting) in rows {
        let line = match setting {
            Some(Setting { value, source }) => format!("{name} : {value} ({source})"),
            None => format!("{name} : not set"),
        };
        context.out.line(&line)?;
    }
    let file = settings.contexts.file(&settings.context.value);
    let known = if settings.stored.is_some() { "" } else { " (not there yet)" };
    context.out.note(&format!("file : {}{known}", file.display()));
    Ok(Exit::Ok)
}

/// `context list | use | remove`.
pub fn contexts(context: &mut Context, verb: &ContextVerb) -> Result<Exit, Stop> {
    let contexts = context.settings.contexts.clone();
    let missing = |name: &str| {
        Stop::new(
            Exit::Nothing,
            format!("there is no context {name:?}"),
            "`edgequeue context list` shows those there are; `edgequeue stream config --context NAME --url URL` makes one.",
        )
    };
    match verb {
        ContextVerb::List => {
            let chosen = contexts.chosen()?;
            for name in contexts.names()? {
                let url = contexts.load(&name)?.and_then(|stored| stored.url).unwrap_or_default();
                if context.out.json {
                    context.out.object(&json!({ "context": name, "url": url, "in_use": name == chosen }))?;
                } else if context.out.quiet {
                    context.out.line(&name)?;
                } else {
                    let mark = if name == chosen { "*" } else { " " };
                    context.out.line(&format!("{mark} {name} : {url}"))?;
                }
            }
        }
        ContextVerb::Use { name } => {
            let name = checked(name)?;
            if contexts.load(&name)?.is_none() {
                return Err(missing(&name));
            }
            contexts.choose(&name)?;
            context.out.ok(&format!("using {name}"), &json!({ "context": name, "in_use": true }), "")?;
        }
        ContextVerb::Remove { name } => {
            let name = checked(name)?;
            if !contexts.remove(&name)? {
                return Err(missing(&name));
            }
            if contexts.chosen()? == name {
                contexts.choose(DEFAULT)?;
            }
            context.out.ok(&format!("removed {name}"), &json!({ "context": name, "removed": true }), "")?;
        }
    }
    Ok(Exit::Ok)
}
