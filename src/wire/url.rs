//! URLs.

/// Host of an absolute URL, and its port if it is not the usual one.
pub fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Path and query of an absolute URL that a platform has already taken apart and put together again. Not a URL parser:
/// the tables of international names in one would more than double the size of the service.
pub fn path_and_query(url: &str) -> (&str, &str) {
    let host = url.find("://").map_or(0, |at| at + 3);
    let rest = url.get(host..).unwrap_or_default();
    let target = rest.find(['/', '?', '#']).and_then(|at| rest.get(at..)).unwrap_or_default();
    let target = target.split('#').next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    (if path.is_empty() { "/" } else { path }, query)
}
