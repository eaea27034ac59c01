//! The token of a deployment.

use crate::wire::answer::Answer;
use alloc::string::String;
use subtle::{Choice, ConstantTimeEq};

/// Compares the `Authorization` header (`<token>` or `Bearer <token>`) with the deployment's token. The time that takes
/// does not depend on how much of the token was right.
///
/// A deployment without a token refuses everybody, because a queue that is open to the internet is never intended. That
/// is a 403, since no header would help; a missing or wrong token is a 401.
pub fn check(token: Option<&str>, authorization: Option<&str>) -> Result<(), Answer> {
    let Some(token) = token.filter(|token| !token.is_empty()) else {
        return Err(Answer::text(
            403,
            "this deployment has no EDGEQUEUE_TOKEN and therefore refuses every request; \
             set that secret to the token clients are to send",
        ));
    };
    let sent = authorization.unwrap_or_default();
    let (scheme, rest) = sent.split_once(' ').unwrap_or_default();
    let bearer = Choice::from(u8::from(scheme.eq_ignore_ascii_case("Bearer")));
    let equal = |text: &str| text.as_bytes().ct_eq(token.as_bytes());
    if bool::from(equal(sent) | (bearer & equal(rest.trim_start()))) {
        return Ok(());
    }
    let text = if sent.is_empty() {
        "the request has no token; send it as the Authorization header, \
         or to open a WebSocket from a page as a subprotocol"
    } else {
        "the token of the request is not the one of this deployment"
    };
    let mut answer = Answer::text(401, text);
    answer.headers.push(("WWW-Authenticate", String::from("Bearer")));
    Err(answer)
}
