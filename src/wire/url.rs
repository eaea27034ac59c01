//! URLs: one way to take them apart, so that whoever checks a host and whoever calls it mean the same one.
//!
//! Not a crate: the tables of international names in one would more than double the size of the service, and none are
//! needed. What is to be called must be ASCII, and the URL of a request has been normalised by the platform.

use super::scalar::shown;
use crate::queue::limits::TAG_VALUE_BYTES_MAX;
use alloc::{format, string::String};

/// Longest URL that may be called, in bytes.
pub const URL_BYTES_MAX: usize = 2_048;

const _: () = assert!(URL_BYTES_MAX <= TAG_VALUE_BYTES_MAX, "the URL of a callback is a tag");

/// The parts of an absolute URL, as they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Url<'a> {
    /// Whether the connection is encrypted.
    pub secure: bool,
    /// Host and port, `host` or `host:port`.
    pub authority: &'a str,
    /// Host; an IPv6 address stands in brackets.
    pub host: &'a str,
    /// What follows the colon after the host, if there is one.
    pub port: Option<&'a str>,
    /// Path with its leading `/`, or empty.
    pub path: &'a str,
    /// Query without its `?`; empty when there is none.
    pub query: &'a str,
}

impl<'a> Url<'a> {
    /// Takes apart what follows the scheme and its `://`. Checks nothing, and drops the fragment.
    pub fn split(secure: bool, rest: &'a str) -> Self {
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        // The colons of an IPv6 address stand before its closing bracket.
        let host_from = authority.find(']').unwrap_or(0);
        let colon = authority.bytes().skip(host_from).position(|byte| byte == b':').map(|at| host_from + at);
        let (host, port) = match colon.and_then(|at| authority.split_at_checked(at)) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => (authority, None),
        };
        Self { secure, authority, host, port, path, query }
    }

    /// The URL of a request, absolute and well-formed, as platforms give it.
    pub fn of_request(text: &'a str) -> Self {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let url = Self::split(matches!(scheme, "https" | "wss"), rest);
        Self { path: if url.path.is_empty() { "/" } else { url.path }, ..url }
    }

    /// Reads an `http` or `https` URL that is to be called: without fragment or credentials, and without anything that
    /// programs read in different ways. The error is what follows the name of the parameter in a sentence.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        let wrong = |what: &str| Err(format!("{what}: {}", shown(text)));
        if text.len() > URL_BYTES_MAX {
            return Err(format!("has {} bytes and at most {URL_BYTES_MAX} are allowed", text.len()));
        }
        let (secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return wrong("must be an absolute URL that begins with https:// or http://"),
        };
        if !text.bytes().all(is_url_byte) {
            return wrong(
                "must not contain blanks, control characters, quotes, backslashes or what is not ASCII; encode them",
            );
        }
        if text.contains('#') {
            return wrong("must have no fragment (#...), which is never sent");
        }
        let url = Self::split(secure, rest);
        if url.authority.contains('@') {
            return wrong("must not contain credentials (user@); send them as headers");
        }
        if !is_host(url.host) || !url.port.is_none_or(is_port) {
            return wrong("has no host that can be called");
        }
        Ok(url)
    }
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.bytes().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(&byte)),
        None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)),
    }
}

fn is_port(digits: &str) -> bool {
    digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok()
}

/// Printable ASCII, except what must be encoded in a URL or is read differently by different programs.
pub fn is_url_byte(byte: u8) -> bool {
    (b'!'..=b'~').contains(&byte) && !b"\"<>\\^`{|}".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let split = |rest| {
            let url = Url::split(true, rest);
            (url.host, url.port, url.path, url.query)
        };
        assert_eq!(split("a.example"), ("a.example", None, "", ""));
        assert_eq!(split("a:80/x/y?z=1?2/3"), ("a", Some("80"), "/x/y", "z=1?2/3"));
        assert_eq!(split("a?x"), ("a", None, "", "x"));
        assert_eq!(split("a/x#y?z"), ("a", None, "/x", ""));
        assert_eq!(split("[::1]:8443/x"), ("[::1]", Some("8443"), "/x", ""));
        assert_eq!(split("[::1]"), ("[::1]", None, "", ""));
        assert_eq!(split("a:/"), ("a", Some(""), "/", ""));
        assert_eq!(split("a:80:90"), ("a", Some("80:90"), "", ""));
        assert_eq!(split(""), ("", None, "", ""));
    }

    #[test]
    fn requests_always_have_a_path() {
        let read = |text| {
            let url = Url::of_request(text);
            (url.authority, url.path, url.query)
        };
        assert_eq!(read("https://q.example:8787/a%20b?x=|"), ("q.example:8787", "/a%20b", "x=|"));
        assert_eq!(read("http://q.example"), ("q.example", "/", ""));
        assert_eq!(read("http://q.example?x=1#y"), ("q.example", "/", "x=1"));
    }

    #[test]
    fn what_may_be_called() {
        for (text, host) in [
            ("https://a.example/v1?x=1", "a.example"),
            ("http://127.0.0.1:8000", "127.0.0.1"),
            ("https://[::1]:8443/x", "[::1]"),
            ("https://a/x@y", "a"),
        ] {
            assert_eq!(Url::parse(text).map(|url| url.host), Ok(host), "{text}");
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
            "https://a:+80/",
            "https://a:80:90/",
            "https://a:/",
            "https://[::1",
            "https://[::1]x/",
            "https://]/",
            "https://\u{e9}/",
            "HTTPS://a/",
            "https://a\n",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
        assert!(Url::parse(&format!("https://a/{}", "x".repeat(URL_BYTES_MAX))).is_err());
    }
}
