//! The hosts that may be called: those that the deployment lists, and never a host inside a network.

use crate::wire::url::Url;
use alloc::{format, string::String, vec::Vec};

/// Variable with the hosts that callbacks and run-time predictors may name.
pub const VARIABLE: &str = "EDGEQUEUE_ALLOWED_HOSTS";
/// Top-level names that are never public.
const INSIDE: [&str; 8] = ["localhost", "local", "internal", "intranet", "lan", "home", "corp", "arpa"];
/// The hosts that the development switch allows.
const LOOPBACK: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// The hosts a deployment allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    names: Vec<String>,
    loopback: bool,
}

impl Hosts {
    /// Reads a list separated by commas or blanks: `api.example.com`, `*.example.com` for everything below a name, `*`
    /// for every public name. With `loopback`, for development, this machine may be called as well, even without TLS.
    pub fn parse(list: &str, loopback: bool) -> Self {
        let names = list.split([',', ' ', '\t', '\n', '\r']).filter(|name| !name.is_empty());
        Self { names: names.map(str::to_ascii_lowercase).collect(), loopback }
    }

    /// Whether the list has this very name, which may be that of a binding.
    pub fn names(&self, name: &str) -> bool {
        self.names.iter().any(|listed| listed.eq_ignore_ascii_case(name))
    }

    /// Checks a URL. The error is a sentence.
    ///
    /// Numeric addresses are refused in every notation, even public ones: a deployment can review a list of names, not
    /// one of numbers.
    pub fn check(&self, url: &str) -> Result<(), String> {
        let Url { secure, host, .. } = Url::parse(url)?;
        let host = host.to_ascii_lowercase();
        if self.loopback && LOOPBACK.contains(&host.as_str()) {
            return Ok(());
        }
        if !secure {
            return Err("must begin with https://".into());
        }
        let name = host.strip_suffix('.').unwrap_or(&host);
        if name.starts_with('[') || is_digits(name) {
            return Err(format!("names the address {name}; only host names may be called"));
        }
        let top = name.rsplit('.').next().unwrap_or_default();
        if !name.contains('.') || INSIDE.contains(&top) {
            return Err(format!("names {name}, which is inside a network; only public hosts may be called"));
        }
        if !self.names.iter().any(|listed| matches(listed, name)) {
            return Err(format!("names {name}, which this deployment does not allow; add it to {VARIABLE}"));
        }
        Ok(())
    }
}

fn matches(listed: &str, name: &str) -> bool {
    match listed.strip_prefix('*') {
        Some("") => true,
        Some(below) => below.starts_with('.') && name.len() > below.len() && name.ends_with(below),
        None => listed == name,
    }
}

/// Whether a URL parser takes the host for an IPv4 address: its last label is a decimal, octal or hexadecimal number.
fn is_digits(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hex || last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(list: &str, url: &str) -> bool {
        Hosts::parse(list, false).check(url).is_ok()
    }

    #[test]
    fn what_is_listed_may_be_called() {
        assert!(allows("api.example.com", "https://api.example.com"));
        assert!(allows("API.example.com", "https://api.EXAMPLE.com:8443/x?y=1"));
        assert!(allows("a.example, *.example.com", "https://deep.er.example.com/"));
        assert!(allows("example.com", "https://example.com./"));
        assert!(allows("*", "https://anything.example/path"));
        assert!(!allows("", "https://api.example.com"));
        assert!(!allows("example.com", "https://api.example.com"));
        assert!(!allows("*.example.com", "https://example.com"));
        assert!(!allows("*.example.com", "https://badexample.com"));
        assert!(!allows("*example.com", "https://badexample.com"));
        assert!(!allows("example.com", "http://example.com"), "without TLS");
    }

    #[test]
    fn nothing_inside_a_network_may_be_called_whatever_is_listed() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "10.0.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0",
            "0x",
            "1.1.1.1",
            "256.1",
            "1.1.1.1.",
            "[::1]",
            "[::]",
            "[::ffff:10.0.0.1]",
            "[fe80::1]",
            "[fd00::1]",
            "[::1%25eth0]",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "a.localhost",
            "router.local",
            "metadata.google.internal",
            "metadata.google.internal.",
            "host",
            "x.home.arpa",
            "printer.lan",
        ] {
            for list in ["*", host, "localhost 127.0.0.1 *"] {
                assert!(!allows(list, &format!("https://{host}/")), "{host}");
                assert!(!allows(list, &format!("https://{host}:443")), "{host}");
            }
        }
    }

    #[test]
    fn urls_that_parsers_disagree_about_are_refused() {
        for url in [
            "",
            "https://",
            "https:///example.com",
            "https:example.com",
            "//example.com",
            "ftp://example.com",
            "javascript:1",
            "https://example.com@127.0.0.1/",
            "https://127.0.0.1@example.com/",
            "https://user:pass@example.com/",
            "https://example.com\\@127.0.0.1/",
            "https:\\\\example.com",
            "https://exam\nple.com",
            "https://example.com\t/",
            "https://example.com:80:90/",
            "https://example.com:x/",
            "https://example.com:999999/",
            "https://%31%32%37.0.0.1/",
            "https://ⓛocalhost/",
            "https://１２７.0.0.1/",
            "https://exa mple.com/",
            " https://example.com",
            "https://.",
            "https://:443",
        ] {
            assert!(!allows("*", url), "{url:?}");
            assert!(!allows("example.com *", url), "{url:?}");
        }
        assert!(!allows("*", &format!("https://example.com/{}", "x".repeat(2_048))));
    }

    #[test]
    fn development_may_call_its_own_machine_only() {
        let hosts = Hosts::parse("", true);
        for url in ["http://127.0.0.1:8080/x", "http://localhost", "https://[::1]:9/", "http://LOCALHOST:1/"] {
            assert_eq!(hosts.check(url), Ok(()), "{url}");
        }
        for url in
            ["http://127.0.0.2/", "http://10.0.0.1/", "http://example.com/", "http://[::2]/", "http://2130706433/"]
        {
            assert!(hosts.check(url).is_err(), "{url}");
        }
    }
}
