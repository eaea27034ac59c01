//! Cross-origin requests: which pages of other origins may use the service.
//!
//! Only the token protects a queue. It is never kept where a browser would send it by itself, so a page without it
//! cannot act in the name of a visitor who has it. The list of origins is a second wall, for pages that do have a
//! token. Without the list, which is the default, browsers let no page of another origin read an answer or send a
//! token, and [`may_connect`] refuses the sockets that browsers would open. Clients outside browsers may send any
//! origin or none; none of this is meant to stop them.

use crate::wire::answer::Answer;
use crate::wire::names::{
    HEADER_GROUP, HEADER_GROUP_REDIS, HEADER_PRIORITY, HEADER_REAR, HEADER_REQUEST_ID, HEADER_USER, HEADER_USER_REDIS,
};
use crate::wire::scalar::shown;
use alloc::{borrow::ToOwned, format, string::String, vec, vec::Vec};
use bytes::Bytes;

/// Name of the variable with the list: origins such as `https://app.example`, separated by commas or blanks; or `*`.
pub const VARIABLE: &str = "EDGEQUEUE_ALLOWED_ORIGINS";
/// Every origin.
const ANY: &str = "*";
/// Time for which a browser may remember a preflight, in seconds: the longest that all browsers accept.
const MAX_AGE_S: &str = "7200";

/// Whether the list has an origin.
fn is_listed(list: &str, origin: &str) -> bool {
    let mut names = list.split([',', ' ', '\n', '\t']).filter(|name| !name.is_empty());
    names.any(|name| name == ANY || name.trim_end_matches('/').eq_ignore_ascii_case(origin))
}

/// Headers of every answer in a deployment with a list. A page can read an answer of any status only if the answer
/// names the page's origin.
pub fn headers(list: &str, origin: Option<&str>) -> Vec<(&'static str, String)> {
    // Caches must not give one origin's answer to another, not even an answer that allows nothing.
    let mut headers = if list.trim() == ANY { Vec::new() } else { vec![("Vary", "Origin".into())] };
    if let Some(origin) = origin.filter(|origin| is_listed(list, origin)) {
        let allowed = if list.trim() == ANY { ANY } else { origin };
        headers.push(("Access-Control-Allow-Origin", allowed.to_owned()));
        let exposed = format!("{HEADER_REQUEST_ID}, Retry-After, Allow, WWW-Authenticate");
        headers.push(("Access-Control-Expose-Headers", exposed));
    }
    headers
}

/// The answer to a preflight, which never carries a token: what an origin may send. [`headers`] come on top.
pub fn preflight(list: &str, origin: &str) -> Answer {
    if !is_listed(list, origin) {
        return Answer::text(403, refusal(origin));
    }
    let identity = [HEADER_USER, HEADER_GROUP, HEADER_USER_REDIS, HEADER_GROUP_REDIS];
    let sent = [&["Authorization", "Content-Type", "Accept"], &identity[..], &[HEADER_PRIORITY, HEADER_REAR]].concat();
    let headers = vec![
        ("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE".into()),
        ("Access-Control-Allow-Headers", sent.join(", ")),
        ("Access-Control-Max-Age", MAX_AGE_S.into()),
    ];
    Answer { status: 204, content_type: None, headers, body: Bytes::new() }
}

/// Whether a WebSocket that carries its token in a subprotocol may be opened from an origin; browsers send no preflight
/// before they open one. `authority` is the host of the request, with its port if there is one.
///
/// Sockets with an `Authorization` header need no check: pages cannot set it, and the official clients, which always
/// do, send all kinds of origins.
pub fn may_connect(list: &str, origin: Option<&str>, authority: &str) -> Result<(), Answer> {
    let Some(origin) = origin else { return Ok(()) };
    let own = origin.split_once("://").is_some_and(|(_, host)| host.eq_ignore_ascii_case(authority));
    if own || is_listed(list, origin) { Ok(()) } else { Err(Answer::text(403, refusal(origin))) }
}

fn refusal(origin: &str) -> String {
    format!("pages of {} may not use this service; its operator can allow it in {VARIABLE}", shown(origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "https://a.example, http://localhost:3000/";

    fn allowed(list: &str, origin: Option<&str>) -> Option<String> {
        let found = headers(list, origin).into_iter().find(|(name, _)| *name == "Access-Control-Allow-Origin");
        found.map(|(_, value)| value)
    }

    #[test]
    fn only_whole_origins_of_the_list_may_read() {
        assert_eq!(allowed(LIST, Some("https://a.example")).as_deref(), Some("https://a.example"));
        assert_eq!(allowed(LIST, Some("http://localhost:3000")).as_deref(), Some("http://localhost:3000"));
        assert_eq!(allowed("*", Some("null")).as_deref(), Some("*"));
        for other in
            ["http://a.example", "https://a.example.evil", "https://b.a.example", "https://a.example:8443", "null", "*"]
        {
            assert_eq!(allowed(LIST, Some(other)), None, "{other}");
            assert_eq!(preflight(LIST, other).status, 403, "{other}");
        }
        assert_eq!(allowed("", Some("https://a.example")), None);
        assert_eq!(headers(LIST, None), [("Vary", String::from("Origin"))]);
    }

    #[test]
    fn sockets_are_open_to_the_own_origin_and_to_clients_without_one() {
        let connect = |origin| may_connect(LIST, origin, "q.example:8787").is_ok();
        assert!(connect(None) && connect(Some("http://q.example:8787")) && connect(Some("https://a.example")));
        assert!(
            !connect(Some("https://q.example")) && !connect(Some("null")) && !connect(Some("https://evil.example"))
        );
    }
}
