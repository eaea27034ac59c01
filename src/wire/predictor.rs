//! What infers the entries of a queue, and which URLs can be named in settings and puts. Only their form is checked here;
//! which hosts may be called is the deployment's business.

use super::scalar::shown;
use alloc::{format, string::String};

/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 2_048;
/// Longest name of a binding, a secret or a model, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// What infers the entries of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predictor<'a> {
    /// An endpoint: an absolute `http` or `https` URL without fragment and credentials.
    Url(&'a str),
    /// Another Worker, by the name of the service binding, and the path there, which is empty or begins with `/`.
    Service(&'a str, &'a str),
    /// A model of Workers AI.
    Model(&'a str),
}

impl<'a> Predictor<'a> {
    /// Reads the setting. The error is what follows the name of the setting in a sentence.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("service:") {
            let (binding, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            if is_identifier(binding) && path.bytes().all(is_url_byte) && rest.len() <= URL_BYTES_MAX {
                return Ok(Self::Service(binding, path));
            }
            return Err(format!("must name a service binding, as in service:BINDING/path, not {}", shown(text)));
        }
        if let Some(model) = text.strip_prefix("ai:") {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@/._-".contains(&byte);
            if !model.is_empty() && model.len() <= NAME_BYTES_MAX && model.bytes().all(plain) {
                return Ok(Self::Model(model));
            }
            return Err(format!("must name a model, as in ai:@cf/meta/llama-3.1-8b-instruct, not {}", shown(text)));
        }
        if text.starts_with("http:") || text.starts_with("https:") {
            return url(text).map(Self::Url);
        }
        Err(format!("must be a URL (https://...), service:BINDING, ai:MODEL, or empty for none, not {}", shown(text)))
    }
}

/// Checks an absolute `http` or `https` URL. The error is what follows the name of the parameter in a sentence.
pub fn url(text: &str) -> Result<&str, String> {
    let wrong = |what: &str| Err(format!("{what}: {}", shown(text)));
    if text.len() > URL_BYTES_MAX {
        return Err(format!("has {} bytes and at most {URL_BYTES_MAX} are allowed", text.len()));
    }
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return wrong("must be an absolute URL that begins with https:// or http://");
    };
    if !text.bytes().all(is_url_byte) {
        return wrong(
            "must not contain blanks, control characters, quotes, backslashes or what is not ASCII; encode them",
        );
    }
    if text.contains('#') {
        return wrong("must have no fragment (#...), which is never sent");
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') {
        return wrong("must not contain credentials (user@); send them as headers");
    }
    let (host, port) =
        match authority.rfind(':').filter(|at| !authority.get(*at..).is_some_and(|rest| rest.contains(']'))) {
            Some(at) => authority.split_at(at),
            None => (authority, ""),
        };
    let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match in_brackets {
        Some(address) => address.bytes().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(&byte)),
        None => host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)),
    };
    let is_port = port.is_empty() || port.get(1..).is_some_and(|digits| digits.parse::<u16>().is_ok());
    if host.is_empty() || !is_host || !is_port {
        return wrong("has no host that can be called");
    }
    Ok(text)
}

/// Whether a text can name a binding or a secret.
pub fn is_identifier(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Printable ASCII without what has to be encoded in a URL or is read differently by different programs.
fn is_url_byte(byte: u8) -> bool {
    (b'!'..=b'~').contains(&byte) && !b"\"<>\\^`{|}".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictors() {
        for (text, read) in [
            ("https://a.example/v1?x=1", Predictor::Url("https://a.example/v1?x=1")),
            ("http://127.0.0.1:8000", Predictor::Url("http://127.0.0.1:8000")),
            ("https://[::1]:8443/x", Predictor::Url("https://[::1]:8443/x")),
            ("service:SCORER", Predictor::Service("SCORER", "")),
            ("service:SCORER/v1/score", Predictor::Service("SCORER", "/v1/score")),
            ("ai:@cf/meta/llama-3.1-8b-instruct", Predictor::Model("@cf/meta/llama-3.1-8b-instruct")),
        ] {
            assert_eq!(Predictor::parse(text), Ok(read));
        }
        for text in [
            "",
            "a.example",
            "ftp://a",
            "https://",
            "https:///x",
            "https:a",
            "https://a b",
            "https://a\\b/",
            "https://u:p@a/",
            "https://a/#x",
            "https://a:99999/",
            "https://a:/",
            "https://[::1",
            "https://]/",
            "https://\u{e9}/",
            "service:",
            "service:/x",
            "service:1A",
            "service:A B",
            "service:A/\u{e9}",
            "ai:",
            "ai:a b",
            "HTTPS://a/",
            "https://a\n",
        ] {
            assert!(Predictor::parse(text).is_err(), "{text}");
        }
        assert!(url(&format!("https://a/{}", "x".repeat(URL_BYTES_MAX))).is_err());
    }
}
