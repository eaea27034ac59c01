//! `stream config` and `context`.

use clap::Subcommand;
use serde_json::json;

use crate::contexts::{DEFAULT, checked};
use crate::global::Global;
use crate::invocation::Invocation;
use crate::stop::{Exit, Stop};
use crate::target::{NO_CONTEXT, QueueTarget, Setting, masked};

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
pub fn run(call: &mut Invocation, global: &Global) -> Result<Exit, Stop> {
    let given = [&global.url, &global.token, &global.group, &global.user];
    if given.iter().any(|flag| flag.is_some()) {
        save(&mut call.target, global)?;
        let name = &call.target.context.value;
        call.out.info(&format!("Saved context {name}: {}", call.target.contexts.file(name).display()));
        call.target = QueueTarget::resolve(&Global { context: Some(name.clone()), ..Global::default() })?;
        return Ok(Exit::Ok);
    }
    show(call)
}

fn save(target: &mut QueueTarget, global: &Global) -> Result<(), Stop> {
    // What cannot be used must not be saved.
    let mut stored = target.stored.clone().unwrap_or_default();
    let (known, flag) = (&mut stored, |setting: &Setting| Some(setting.value.clone()));
    if global.url.is_some() {
        known.url = target.url.as_ref().and_then(flag);
    }
    if global.token.is_some() {
        known.token = target.token.as_ref().and_then(flag).filter(|token| !token.is_empty());
    }
    if global.group.is_some() {
        known.group = flag(&target.group);
    }
    if global.user.is_some() {
        known.user = flag(&target.user);
    }
    target.stored = Some(stored.clone());
    if target.url.is_some() {
        target.endpoint()?;
    }
    target.contexts.save(&target.context.value, &stored)?;
    // The first context is the one in use.
    if target.contexts.names()?.len() == 1 {
        target.contexts.choose(&target.context.value)?;
    }
    Ok(())
}

fn show(call: &mut Invocation) -> Result<Exit, Stop> {
    let target = call.target.clone();
    let token = target.token.map(|token| Setting { value: masked(&token.value), ..token });
    let rows = [
        ("context", Some(target.context.clone())),
        ("url", target.url),
        ("token", token),
        ("group", Some(target.group)),
        ("user", Some(target.user)),
    ];
    if call.out.json {
        let object: serde_json::Map<String, serde_json::Value> = rows
            .into_iter()
            .filter_map(|(name, setting)| setting.map(|setting| (name, setting)))
            .map(|(name, setting)| {
                (name.into(), json!({ "value": setting.value, "source": setting.origin.to_string() }))
            })
            .collect();
        call.out.object(&object.into())?;
        return Ok(Exit::Ok);
    }
    for (name, setting) in rows {
        let line = match setting {
            Some(Setting { value, origin }) => format!("{name} : {value} ({origin})"),
            None => format!("{name} : not set"),
        };
        call.out.line(&line)?;
    }
    let file = target.contexts.file(&target.context.value);
    let known = if target.stored.is_some() { "" } else { " (not there yet)" };
    call.out.note(&format!("file : {}{known}", file.display()));
    Ok(Exit::Ok)
}

/// `context list | use | remove`.
pub fn contexts(call: &mut Invocation, verb: &ContextVerb) -> Result<Exit, Stop> {
    match verb {
        ContextVerb::List => list(call)?,
        ContextVerb::Use { name } => choose(call, &checked(name)?)?,
        ContextVerb::Remove { name } => remove(call, &checked(name)?)?,
    }
    Ok(Exit::Ok)
}

fn list(call: &mut Invocation) -> Result<(), Stop> {
    let contexts = call.target.contexts.clone();
    let chosen = contexts.chosen()?;
    for name in contexts.names()? {
        let url = contexts.load(&name)?.and_then(|stored| stored.url).unwrap_or_default();
        if call.out.json {
            call.out.object(&json!({ "context": name, "url": url, "in_use": name == chosen }))?;
        } else if call.out.quiet {
            call.out.line(&name)?;
        } else {
            let mark = if name == chosen { "*" } else { " " };
            call.out.line(&format!("{mark} {name} : {url}"))?;
        }
    }
    Ok(())
}

fn choose(call: &mut Invocation, name: &str) -> Result<(), Stop> {
    let contexts = &call.target.contexts;
    if contexts.load(name)?.is_none() {
        return Err(missing(name));
    }
    contexts.choose(name)?;
    call.out.ok(&format!("using {name}"), &json!({ "context": name, "in_use": true }), "")
}

fn remove(call: &mut Invocation, name: &str) -> Result<(), Stop> {
    let contexts = &call.target.contexts;
    if !contexts.remove(name)? {
        return Err(missing(name));
    }
    if contexts.chosen()? == name {
        contexts.choose(DEFAULT)?;
    }
    call.out.ok(&format!("removed {name}"), &json!({ "context": name, "removed": true }), "")
}

fn missing(name: &str) -> Stop {
    Stop::new(Exit::Nothing, format!("there is no context {name:?}"), NO_CONTEXT)
}
