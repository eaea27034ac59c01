//! Contexts: named sets of address, token, group and user in the platform's configuration directory.

use etcetera::{AppStrategy, AppStrategyArgs, choose_app_strategy};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::stop::{Exit, Stop};

/// Context that is used when none was ever chosen.
pub const DEFAULT: &str = "default";
const DIRECTORY: &str = "contexts";
const CHOSEN: &str = "context";
const ENDING: &str = "toml";

/// What a context holds.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// The directory with all contexts.
#[derive(Clone, Debug)]
pub struct Contexts {
    root: PathBuf,
}

impl Contexts {
    pub fn of_this_user() -> Result<Self, Stop> {
        let name = AppStrategyArgs {
            top_level_domain: "dev".into(),
            author: "edgequeue".into(),
            app_name: "edgequeue".into(),
        };
        let strategy = choose_app_strategy(name).map_err(|error| {
            Stop::new(Exit::Failure, format!("there is no configuration directory: {error}"), "Set HOME.")
        })?;
        Ok(Self { root: strategy.config_dir() })
    }

    /// File of a context.
    pub fn file(&self, name: &str) -> PathBuf {
        self.root.join(DIRECTORY).join(format!("{name}.{ENDING}"))
    }

    /// The context in use.
    pub fn chosen(&self) -> Result<String, Stop> {
        let file = self.root.join(CHOSEN);
        let name = read(&file)?.map(|text| text.trim().to_owned()).filter(|name| !name.is_empty());
        match name {
            Some(name) => checked(&name).map_err(|stop| stop.within(file.display())),
            None => Ok(DEFAULT.into()),
        }
    }

    /// Makes a context the one in use.
    pub fn choose(&self, name: &str) -> Result<(), Stop> {
        write(&self.root.join(CHOSEN), &format!("{name}\n"))
    }

    pub fn load(&self, name: &str) -> Result<Option<Stored>, Stop> {
        let file = self.file(name);
        let Some(text) = read(&file)? else { return Ok(None) };
        toml::from_str(&text).map(Some).map_err(|error| {
            let advice = format!("Mend the file, or remove it with `edgequeue context remove {name}`.");
            Stop::usage(format!("{} makes no sense: {}", file.display(), error.message()), advice)
        })
    }

    /// Writes a context; only its owner can read it, because it holds a token.
    pub fn save(&self, name: &str, stored: &Stored) -> Result<(), Stop> {
        let text = toml::to_string(stored)
            .map_err(|error| Stop::new(Exit::Failure, format!("cannot write the context: {error}"), ""))?;
        write(&self.file(name), &text)
    }

    /// Removes a context; false if there was none.
    pub fn remove(&self, name: &str) -> Result<bool, Stop> {
        match fs::remove_file(self.file(name)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("remove", &self.file(name), &error)),
        }
    }

    /// Names of all contexts, in order.
    pub fn names(&self) -> Result<Vec<String>, Stop> {
        let directory = self.root.join(DIRECTORY);
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("read", &directory, &error)),
        };
        let name = |path: PathBuf| {
            let is_context = path.extension().is_some_and(|ending| ending == ENDING);
            let name = path.file_stem()?.to_str()?.to_owned();
            (is_context && checked(&name).is_ok()).then_some(name)
        };
        let mut names: Vec<String> = entries.flatten().filter_map(|entry| name(entry.path())).collect();
        names.sort();
        Ok(names)
    }
}

/// A name that is safe as a file's.
pub fn checked(name: &str) -> Result<String, Stop> {
    let plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('.') || name.len() > 64 || !name.chars().all(plain) {
        return Err(Stop::usage(
            format!("{name:?} cannot be the name of a context"),
            "Use up to 64 letters, digits, '-', '_' and '.'.",
        ));
    }
    Ok(name.into())
}

fn read(file: &Path) -> Result<Option<String>, Stop> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", file, &error)),
    }
}

/// Writes a file with mode 0600 beside its place and moves it there: no reader ever sees half of it, and only its owner
/// can read it.
fn write(file: &Path, text: &str) -> Result<(), Stop> {
    let written = (|| {
        let directory = file.parent().unwrap_or_else(|| Path::new("."));
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(directory)?;
        let beside = file.with_extension(format!("new-{}", std::process::id()));
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let moved = options.open(&beside).and_then(|mut out| {
            out.write_all(text.as_bytes())?;
            out.sync_all()?;
            fs::rename(&beside, file)
        });
        if moved.is_err() {
            let _ = fs::remove_file(&beside);
        }
        moved
    })();
    written.map_err(|error| failed("write", file, &error))
}

fn failed(what: &str, file: &Path, error: &io::Error) -> Stop {
    Stop::new(Exit::Failure, format!("cannot {what} {}: {error}", file.display()), "Look at the file's permissions.")
}
