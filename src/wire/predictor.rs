//! Predictors: what infers the entries of a queue. Only their form is checked here; the deployment says which hosts may
//! be called.

use super::scalar::shown;
use super::url::{URL_BYTES_MAX, Url, is_url_byte};
use alloc::{format, string::String};

/// Longest name of a binding, a secret or a model, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// What is called with each entry of a queue.
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
            return Url::parse(text).map(|_| Self::Url(text));
        }
        Err(format!("must be a URL (https://...), service:BINDING, ai:MODEL, or empty for none, not {}", shown(text)))
    }
}

/// Whether a text can name a binding or a secret.
pub fn is_identifier(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
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
            "service:",
            "service:/x",
            "service:1A",
            "service:A B",
            "service:A/\u{e9}",
            "ai:",
            "ai:a b",
            "https://u:p@a/",
            "HTTPS://a/",
        ] {
            assert!(Predictor::parse(text).is_err(), "{text}");
        }
    }
}
