//! Code and reason of a negative commit.

use edgequeue::queue::event::Rejection;
use edgequeue::wire::rejection::{self, GRAMMAR};
use proptest::prelude::*;
use regex::Regex;

fn error(body: &str) -> String {
    let answer = rejection::parse(body.as_bytes(), None).expect_err(body);
    assert_eq!(answer.status, 400);
    String::from_utf8(answer.body.to_vec()).unwrap()
}

#[test]
fn codes() {
    for code in [
        "Shutdown",
        "BadRequest",
        "BadRequest.Body",
        "OOM",
        "500",
        "A",
        "AB",
        "A.B",
        "AxB",
        "A B",
        "0",
        "A1B",
        "A\u{4e2d}B",
    ] {
        let body = format!("_code_={code}");
        assert_eq!(rejection::parse(body.as_bytes(), None).unwrap().code, code, "{code}");
    }
    for code in [
        "bad", "5xx", "Aa.Bb.Cc", "A.", ".A", "A.b", "a.B", "5.0", "-5", "A-", "A1", "%0A", "A%0AB", "A..B", "A%0A",
        "1%0A", "\u{661}",
    ] {
        assert_eq!(
            error(&format!("_code_={code}")),
            "code must match regular expression: ^([A-Z][a-z]*)+(.[A-Z][a-z]*)?$|^[0-9]+$",
            "{code}"
        );
    }
    assert!(rejection::parse(format!("_code_=A{}", "a".repeat(19)).as_bytes(), None).is_ok());
    assert_eq!(error(&format!("_code_=A{}", "a".repeat(20))), "code can not have more than 20 characters");
    assert_eq!(error("_code_=123456789012345678901"), "code can not have more than 20 characters");
}

#[test]
fn bodies() {
    let both = Rejection { code: "OOM".into(), reason: "out of memory & more".into(), delay_ms: 0 };
    assert_eq!(rejection::parse(b"_code_=OOM&_reason_=out+of+memory+%26+more", None), Ok(both));
    assert_eq!(rejection::parse(b"", None), Ok(Rejection::default()));
    assert_eq!(rejection::parse(b"\r\n", None), Ok(Rejection::default()));
    assert_eq!(rejection::parse(b"_code_=&_reason_=", None), Ok(Rejection::default()));
    assert!(error("code=OOM").contains("\"code\" is not a field of a negative commit"));
    assert!(error("_reason_=%").contains("%25"));
    assert!(rejection::parse(&[0xff], None).is_err());
    let long = rejection::parse(format!("_reason_=a{}", "\u{4e2d}".repeat(1000)).as_bytes(), None).unwrap().reason;
    assert_eq!(long.len(), 1 + 341 * 3);
}

#[test]
fn delays() {
    let delay_ms = |body: &str, asked| rejection::parse(body.as_bytes(), asked).map(|rejection| rejection.delay_ms);
    for (body, asked, ms) in [
        ("_delay_=5s", None, 5_000),
        ("_delay_=1.5", None, 1_500),
        ("_code_=OOM&_delay_=1h", None, 3_600_000),
        ("_delay_=", None, 0),
        ("_code_=OOM", Some(700), 700),
        ("_delay_=700ms", Some(700), 700),
    ] {
        assert_eq!(delay_ms(body, asked), Ok(ms), "{body}");
    }
    assert_eq!(
        error("_delay_=soon"),
        "_delay_ must be a duration such as 500ms, 5s or 1m30s, or a number of seconds, not \"soon\""
    );
    assert_eq!(error("_delay_=-1s"), "_delay_ must not be negative: \"-1s\"");
    assert_eq!(
        error("_delay_=3601s"),
        "an entry can be delayed by at most 1h0m0s, not by 1h0m1s; reject it again then"
    );
    assert_eq!(delay_ms("_delay_=5s", Some(6_000)).unwrap_err().status, 400);
}

proptest! {
    #[test]
    fn grammar_is_the_regular_expression(code in "([AZaz.\n0-9 \u{4e2d}]|.){0,8}") {
        prop_assert_eq!(rejection::matches_grammar(&code), Regex::new(GRAMMAR).unwrap().is_match(&code));
    }

    #[test]
    fn grammar_accepts_what_it_generates(code in "([A-Z][a-z]{0,3}){1,4}(.[A-Z][a-z]{0,3})?|[0-9]{1,9}") {
        prop_assert!(rejection::matches_grammar(&code));
    }

    #[test]
    fn any_body_is_read_or_refused(body in any::<Vec<u8>>()) {
        if let Err(answer) = rejection::parse(&body, None) {
            prop_assert_eq!(answer.status, 400);
        }
    }
}
