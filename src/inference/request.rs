//! The HTTP request to a predictor: a POST of the data, with the path and query of the original put.

use super::event::Work;
use super::outcome::CallFailure;
use crate::queue::entry::{TAG_LAST_CODE, TAG_LAST_REASON, TAG_REQUEST_ID, TAG_TIME_PREFIX};
use crate::wire::names::{TAG_CALLBACK, TAG_CONTENT_TYPE, TAG_PATH};
use crate::wire::predictor::Predictor;
use alloc::{format, string::String, string::ToString, vec, vec::Vec};

/// The URL of one request: its path after the predictor's, its query before the predictor's. A path that leads out of
/// the predictor's own is refused.
pub fn url(predictor: Predictor<'_>, append: bool, work: &Work) -> Result<String, CallFailure> {
    let (base, path) = match predictor {
        Predictor::Url(url) => (url, ""),
        // A Worker that is called directly sees the path only.
        Predictor::Service(_, path) => ("https://predictor", path),
        Predictor::Model(_) => return Ok(String::new()),
    };
    let base = format!("{base}{path}");
    let (base, own_query) = base.split_once('?').unwrap_or((&base, ""));
    let suffix = work.tags.get(TAG_PATH).map_or("", String::as_str).trim_start_matches('/');
    let mut url = String::from(base);
    if append && !suffix.is_empty() {
        if !is_plain(suffix) {
            return Err(CallFailure::new(400, "the path of the request leads elsewhere"));
        }
        url = format!("{}/{suffix}", base.trim_end_matches('/'));
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(work.tags.iter().filter(|(key, _)| is_callers(key)));
    let query = query.finish();
    let between = if query.is_empty() || own_query.is_empty() { "" } else { "&" };
    if !query.is_empty() || !own_query.is_empty() {
        url = format!("{url}?{query}{between}{own_query}");
    }
    Ok(url)
}

/// Whether a path stays below its base, whatever a URL parser makes of it.
fn is_plain(path: &str) -> bool {
    let dots = |segment: &str| {
        let segment = segment.to_ascii_lowercase().replace("%2e", ".");
        segment == "." || segment == ".."
    };
    path.bytes().all(|byte| matches!(byte, b'!'..=b'~') && !matches!(byte, b'?' | b'#' | b'\\'))
        && !path.split('/').any(dots)
}

/// Whether a tag came from the caller's query.
fn is_callers(tag: &str) -> bool {
    ![TAG_REQUEST_ID, TAG_PATH, TAG_CALLBACK, TAG_LAST_CODE, TAG_LAST_REASON].contains(&tag)
        && !tag.starts_with(TAG_TIME_PREFIX)
        && !tag.starts_with("Header:")
}

/// The headers of a request: the type of its data, and what a predictor needs to recognise a repetition.
pub fn headers(service: &str, work: &Work) -> Vec<(String, String)> {
    let mut headers = vec![
        ("X-Request-Id".into(), printable(work.request_id())),
        ("X-Edgequeue-Service".into(), service.into()),
        ("X-Edgequeue-Index".into(), work.index.0.to_string()),
        ("X-Edgequeue-Attempt".into(), work.attempt.to_string()),
    ];
    let content_type = work.tags.get(TAG_CONTENT_TYPE).filter(|text| !text.is_empty());
    headers.extend(content_type.map(|text| ("Content-Type".into(), printable(text))));
    headers
}

/// Further headers from a secret, one `Name: value` per line. The error is a sentence that does not show the secret.
pub fn secret_headers(secret: &str) -> Result<Vec<(String, String)>, String> {
    let lines = secret.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate();
    let header = |(place, line): (usize, &str)| {
        let wrong = || format!("line {} is not a `Name: value`", place + 1);
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let (name, value) = (name.trim(), value.trim());
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let fits = !name.is_empty() && name.bytes().all(token) && value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if fits { Ok((name.into(), value.into())) } else { Err(wrong()) }
    };
    lines.map(header).collect()
}

/// A text as a header value: everything but printable ASCII is percent-encoded.
fn printable(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::entry::Index;

    fn work(tags: &[(&str, &str)]) -> Work {
        let tags = tags.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        Work { index: Index(7), attempt: 2, tags, data: "x".into() }
    }

    fn url(predictor: &str, append: bool, tags: &[(&str, &str)]) -> Result<String, u16> {
        let predictor = Predictor::parse(predictor).expect("a predictor");
        super::url(predictor, append, &work(tags)).map_err(|failure| failure.status)
    }

    #[test]
    fn path_and_query_of_the_put_go_along() {
        let put = [
            ("Path", "/api_prompt/a%20b"),
            ("task", "7 8"),
            ("requestId", "r"),
            ("ts@source", "1"),
            ("callback", "https://c"),
            ("Header:Content-Type", "a/b"),
            ("lastCode", "500"),
            ("lastReason", "x"),
        ];
        assert_eq!(url("https://p.example", true, &put), Ok("https://p.example/api_prompt/a%20b?task=7+8".into()));
        assert_eq!(
            url("https://p.example/v1/?key=1", true, &put),
            Ok("https://p.example/v1/api_prompt/a%20b?task=7+8&key=1".into())
        );
        assert_eq!(url("https://p.example/v1", false, &put), Ok("https://p.example/v1?task=7+8".into()));
        assert_eq!(url("https://p.example/v1?key=1", true, &[]), Ok("https://p.example/v1?key=1".into()));
        assert_eq!(url("service:MODEL/v1", true, &[("Path", "/x")]), Ok("https://predictor/v1/x".into()));
        assert_eq!(url("service:MODEL", true, &[]), Ok("https://predictor".into()));
    }

    #[test]
    fn no_path_leads_out_of_the_predictors_own() {
        for path in [
            "/..",
            "/../x",
            "/a/../../x",
            "/%2e%2e/x",
            "/.%2E/x",
            "/a/.",
            "/a\\..\\x",
            "/a?b",
            "/a#b",
            "/a b",
            "/ä",
            "/a\n",
        ] {
            assert_eq!(url("https://p.example/v1", true, &[("Path", path)]), Err(400), "{path}");
        }
        for path in ["/...", "/a..b", "/..a", "//evil.example/x", "/@evil.example"] {
            let url = url("https://p.example", true, &[("Path", path)]).expect("harmless");
            assert!(url.starts_with("https://p.example/"), "{url}");
        }
    }

    #[test]
    fn headers_tell_repetitions_apart() {
        let headers = headers("svc", &work(&[("requestId", "ä\n"), ("Header:Content-Type", "image/png")]));
        let expected = [
            ("X-Request-Id", "%C3%A4%0A"),
            ("X-Edgequeue-Service", "svc"),
            ("X-Edgequeue-Index", "7"),
            ("X-Edgequeue-Attempt", "2"),
            ("Content-Type", "image/png"),
        ];
        assert_eq!(headers, expected.map(|(name, value)| (name.to_string(), value.to_string())));
    }

    #[test]
    fn headers_of_a_secret_are_lines() {
        let headers = secret_headers("Authorization: Bearer a:b\r\n\n x-key :1 \n").expect("good");
        assert_eq!(headers, [("Authorization".into(), "Bearer a:b".into()), ("x-key".to_string(), "1".to_string())]);
        for wrong in ["hunter2", "a b: hunter2", ": hunter2", "x: hunter2\u{1}"] {
            assert_eq!(secret_headers(&format!("good: 1\n{wrong}")), Err("line 2 is not a `Name: value`".into()));
        }
    }
}
