//! Where a queue is, and which consumer asks.

use crate::queue::event::ConsumerId;
use crate::wire::names::{GROUP_DEFAULT, USER_DEFAULT};
use crate::wire::scalar::shown;
use crate::wire::url::Url;
use alloc::{format, string::String};

/// Last segment of the address of an output queue.
const SINK: &str = "/sink";

/// A queue, how it is reached, and which consumer asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether the connection is encrypted.
    pub secure: bool,
    /// Host, and the port when it is not the usual one.
    pub authority: String,
    /// Path of the queue without a slash at its end; empty for a bare server.
    pub path: String,
    /// The header `Authorization`; empty for none.
    pub token: String,
    /// The consumer that asks.
    pub consumer: ConsumerId,
    /// Whether the queue of dead letters is meant.
    pub rear: bool,
}

impl Endpoint {
    /// Reads an address such as `http://127.0.0.1:8787/api/predict/demo`; without a scheme it is `http`. The error is
    /// the second half of a sentence.
    pub fn parse(url: &str) -> Result<Self, String> {
        let (secure, rest) = match url.split_once("://") {
            Some(("http" | "ws", rest)) => (false, rest),
            Some(("https" | "wss", rest)) => (true, rest),
            Some((scheme, _)) => return Err(format!("has the scheme {}, use http or https", shown(scheme))),
            None => (false, url),
        };
        if let Some(wrong) = rest.chars().find(|character| !character.is_ascii_graphic()) {
            return Err(format!("contains {wrong:?}, which must be percent-encoded"));
        }
        if rest.contains(['?', '#']) {
            return Err("must end with the path of the queue, without ? and #".into());
        }
        let Url { authority, host, path, .. } = Url::split(secure, rest);
        if host.is_empty() {
            return Err("has no host".into());
        }
        if authority.contains('@') {
            return Err("must not contain a user name; the token is given on its own".into());
        }
        Ok(Self {
            secure,
            authority: authority.into(),
            path: path.trim_end_matches('/').into(),
            token: String::new(),
            consumer: ConsumerId { group: GROUP_DEFAULT.into(), user: USER_DEFAULT.into() },
            rear: false,
        })
    }

    /// The output queue of the same service.
    pub fn sink(mut self) -> Self {
        if !self.path.ends_with(SINK) {
            self.path.push_str(SINK);
        }
        self
    }

    /// Address of a request's target (path and query) over HTTP.
    pub fn http_url(&self, target: &str) -> String {
        format!("http{}://{}{target}", if self.secure { "s" } else { "" }, self.authority)
    }

    /// Address of a request's target over a WebSocket.
    pub fn socket_url(&self, target: &str) -> String {
        format!("ws{}://{}{target}", if self.secure { "s" } else { "" }, self.authority)
    }

    /// Address of the queue.
    pub fn url(&self) -> String {
        self.http_url(if self.path.is_empty() { "/" } else { &self.path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        let read = |url| Endpoint::parse(url).map(|endpoint| endpoint.url());
        assert_eq!(read("http://a:1/api/predict/x/").as_deref(), Ok("http://a:1/api/predict/x"));
        assert_eq!(read("https://a/api/predict/x").as_deref(), Ok("https://a/api/predict/x"));
        assert_eq!(read("a.example/api/predict/x").as_deref(), Ok("http://a.example/api/predict/x"));
        assert_eq!(read("http://localhost:3030").as_deref(), Ok("http://localhost:3030/"));
        for wrong in ["", "ftp://a", "http://", "http:///x", "http://a/x?y=1", "http://u:p@a/x", "http://a/x y", ":80"]
        {
            assert!(Endpoint::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_sink_is_appended_once() {
        let sink = |url| Endpoint::parse(url).map(|endpoint| endpoint.sink().url());
        assert_eq!(sink("http://a/api/predict/x").as_deref(), Ok("http://a/api/predict/x/sink"));
        assert_eq!(sink("http://a/api/predict/x/sink").as_deref(), Ok("http://a/api/predict/x/sink"));
        assert_eq!(sink("http://a").as_deref(), Ok("http://a/sink"));
    }
}
