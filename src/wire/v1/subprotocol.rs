//! The list of subprotocols with which a WebSocket is opened: which protocol is spoken, and headers that a browser
//! cannot set.
//!
//! Those headers do not go into the address, because addresses are logged by everything on the way, kept in histories
//! and sent on as referrers. Their values are base64url without padding, since the list allows few characters. A client
//! that carries them also offers one of the two real protocols, [`SUBPROTOCOL`] or [`PLAIN`], and the answer names that
//! one.

use crate::wire::names::{HEADER_GROUP, HEADER_REAR, HEADER_USER};
use alloc::{format, string::String, vec::Vec};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// Name of the protocol and its version, offered in `Sec-WebSocket-Protocol`.
pub const SUBPROTOCOL: &str = "edgequeue.v1";
/// Name of the plain protocol: one frame per message, and nothing from the client. It needs a name because browsers
/// break a connection whose answer names none of what they offered.
pub const PLAIN: &str = "edgequeue.plain";

/// What stands for the header `Authorization: Bearer ...`.
const BEARER: &str = "edgequeue.bearer.";
/// What stands for [`HEADER_USER`].
const USER: &str = "edgequeue.user.";
/// What stands for [`HEADER_GROUP`].
const GROUP: &str = "edgequeue.group.";
/// What stands for [`HEADER_REAR`].
const REAR: &str = "edgequeue.rear";

fn names(offered: &str) -> impl Iterator<Item = &str> {
    offered.split(',').map(str::trim)
}

/// Whether a list of subprotocols has [`SUBPROTOCOL`].
pub fn is_offered(header: &str) -> bool {
    header.split(',').any(|name| name.trim() == SUBPROTOCOL)
}

/// Whether a list of subprotocols has [`PLAIN`].
pub fn is_plain_offered(offered: &str) -> bool {
    names(offered).any(|name| name == PLAIN)
}

/// The value of a header that a list of subprotocols carries. A value that is not base64url of UTF-8 counts as missing.
pub fn carried(offered: &str, header: &str) -> Option<String> {
    let text = |prefix: &str| {
        let encoded = names(offered).find_map(|name| name.strip_prefix(prefix))?;
        String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
    };
    match header {
        "Authorization" => text(BEARER).map(|token| format!("Bearer {token}")),
        HEADER_USER => text(USER),
        HEADER_GROUP => text(GROUP),
        HEADER_REAR => names(offered).any(|name| name == REAR).then(|| "true".into()),
        _ => None,
    }
}

/// The list that carries these values. Empty ones are left out.
pub fn carry(token: &str, group: &str, user: &str, rear: bool) -> Vec<String> {
    let texts = [(BEARER, token), (GROUP, group), (USER, user)].into_iter().filter(|(_, text)| !text.is_empty());
    let mut list: Vec<String> =
        texts.map(|(prefix, text)| format!("{prefix}{}", URL_SAFE_NO_PAD.encode(text))).collect();
    if rear {
        list.push(REAR.into());
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_carried_arrives() {
        let list = carry("to/ken+?", "gr\u{fc}n", "", true).join(", ");
        assert!(list.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_., ".contains(&byte)), "{list}");
        let header = |name| carried(&list, name);
        assert_eq!(header("Authorization").as_deref(), Some("Bearer to/ken+?"));
        assert_eq!(header(HEADER_GROUP).as_deref(), Some("gr\u{fc}n"));
        assert_eq!((header(HEADER_USER), header(HEADER_REAR).as_deref()), (None, Some("true")));
        assert_eq!(carried("edgequeue.bearer.!, edgequeue.user._w", "Authorization"), None);
        assert_eq!(carried("edgequeue.bearer.!, edgequeue.user._w", HEADER_USER), None);
        assert_eq!(carried("edgequeue.v1", HEADER_REAR), None);
    }
}
