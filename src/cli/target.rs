//! Which queue is meant, and who asks: flags before environment before context before defaults.

use edgequeue::client::Endpoint;
use edgequeue::wire::names::{GROUP_DEFAULT, USER_DEFAULT};
use std::{env, fmt, io};

use crate::contexts::{Contexts, Stored, checked};
use crate::global::Global;
use crate::stop::{Exit, Stop};

/// What to do when a context was named that is not there.
pub const NO_CONTEXT: &str = "`edgequeue context list` shows the contexts there are; \
    `edgequeue stream config --context NAME --url URL` makes one.";

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Flag(&'static str),
    Environment(&'static str),
    Context(String),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(out, "flag {name}"),
            Self::Environment(name) => write!(out, "environment {name}"),
            Self::Context(name) => write!(out, "context {name}"),
            Self::Default => out.write_str("default"),
        }
    }
}

/// A value and where it comes from.
#[derive(Clone, Debug)]
pub struct Setting {
    pub value: String,
    pub origin: Origin,
}

/// Everything that says which queue is meant and who asks.
#[derive(Clone, Debug)]
pub struct QueueTarget {
    pub context: Setting,
    pub url: Option<Setting>,
    pub token: Option<Setting>,
    pub group: Setting,
    pub user: Setting,
    pub sink: bool,
    pub rear: bool,
    /// What the context holds; `None` if there is no such context.
    pub stored: Option<Stored>,
    pub contexts: Contexts,
}

impl QueueTarget {
    pub fn resolve(global: &Global) -> Result<Self, Stop> {
        let contexts = Contexts::of_this_user()?;
        let context = match strongest(&global.context, "--context", "EDGEQUEUE_CONTEXT")? {
            Some(setting) => setting,
            None => Setting { value: contexts.chosen()?, origin: Origin::Default },
        };
        checked(&context.value)?;
        let stored = contexts.load(&context.value)?;
        let known = stored.clone().unwrap_or_default();
        let pick = |flag: &Option<String>, flag_name, variable, from_context: Option<String>| {
            let stored =
                || Setting { value: from_context.unwrap_or_default(), origin: Origin::Context(context.value.clone()) };
            Ok::<_, Stop>(
                strongest(flag, flag_name, variable)?.or_else(|| Some(stored()).filter(|it| !it.value.is_empty())),
            )
        };
        let default = |value: &str| Setting { value: value.into(), origin: Origin::Default };
        let token = match &global.token {
            Some(dash) if dash == "-" => Some(token_from_stdin()?),
            token => token.clone(),
        };
        Ok(Self {
            url: pick(&global.url, "--url", "EDGEQUEUE_URL", known.url)?,
            token: pick(&token, "--token", "EDGEQUEUE_TOKEN", known.token)?,
            group: pick(&global.group, "--group", "EDGEQUEUE_GROUP", known.group)?
                .unwrap_or_else(|| default(GROUP_DEFAULT)),
            user: pick(&global.user, "--user", "EDGEQUEUE_USER", known.user)?.unwrap_or_else(|| default(USER_DEFAULT)),
            sink: global.sink,
            rear: global.rear,
            context,
            stored,
            contexts,
        })
    }

    /// The queue as a client needs it.
    pub fn endpoint(&self) -> Result<Endpoint, Stop> {
        if self.stored.is_none() && self.context.origin != Origin::Default {
            return Err(Stop::usage(
                format!("there is no context {:?} ({})", self.context.value, self.context.origin),
                NO_CONTEXT,
            ));
        }
        let Some(url) = &self.url else {
            return Err(Stop::usage(
                "no queue was named",
                "Name one once with `edgequeue stream config --url URL --token TOKEN`, or each time with --url or \
                 EDGEQUEUE_URL.",
            ));
        };
        let mut endpoint = Endpoint::parse(&url.value).map_err(|wrong| {
            Stop::usage(
                format!("the address {:?} ({}) {wrong}", url.value, url.origin),
                "It looks like http://127.0.0.1:8787/api/predict/demo.",
            )
        })?;
        if let Some(token) = &self.token {
            endpoint.token = as_header("token", token)?;
        }
        endpoint.consumer.group = as_header("group", &self.group)?;
        endpoint.consumer.user = as_header("user", &self.user)?;
        endpoint.rear = self.rear;
        Ok(if self.sink { endpoint.sink() } else { endpoint })
    }
}

/// A flag, or else a variable that is not empty.
fn strongest(flag: &Option<String>, flag_name: &'static str, variable: &'static str) -> Result<Option<Setting>, Stop> {
    if let Some(value) = flag {
        return Ok(Some(Setting { value: value.clone(), origin: Origin::Flag(flag_name) }));
    }
    match env::var(variable) {
        Ok(value) if !value.is_empty() => Ok(Some(Setting { value, origin: Origin::Environment(variable) })),
        Ok(_) | Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Stop::usage(format!("{variable} is not UTF-8"), "Set it anew.")),
    }
}

fn token_from_stdin() -> Result<String, Stop> {
    let mut line = String::new();
    io::stdin()
        .read_line(&mut line)
        .map_err(|error| Stop::new(Exit::Failure, format!("cannot read the token: {error}"), ""))?;
    match line.trim() {
        "" => Err(Stop::usage("there is no token on standard input", "Give it as one line.")),
        token => Ok(token.into()),
    }
}

/// Tokens and names travel in headers, where not everything may stand.
fn as_header(what: &str, setting: &Setting) -> Result<String, Stop> {
    let plain = |byte: u8| (b' '..=b'~').contains(&byte);
    if setting.value.is_empty() || !setting.value.bytes().all(plain) {
        return Err(Stop::usage(
            format!("the {what} ({}) cannot be sent", setting.origin),
            format!("A {what} is made of printable ASCII characters, and of at least one."),
        ));
    }
    Ok(setting.value.clone())
}

/// A token for the eye: enough of it to tell two apart, too little to use.
pub fn masked(token: &str) -> String {
    let shown = if token.len() >= 12 { token.get(token.len() - 4..).unwrap_or_default() } else { "" };
    format!("********{shown}")
}
