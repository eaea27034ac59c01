//! A request's method, address and headers: as `entry.mjs` tells them in one text, since each text costs a crossing, or asked
//! of the request itself.

use crate::wire::{RequestParts, url::Url};

/// Calls `read` with the head that is told in lines (the method, the address, then `name: value` for each header), and with
/// the whole address.
pub fn read<T>(told: &str, read: impl FnOnce(&RequestParts<'_>, &str) -> T) -> T {
    let (method, rest) = told.split_once('\n').unwrap_or((told, ""));
    let (url, headers) = rest.split_once('\n').unwrap_or((rest, ""));
    let Url { path, query, .. } = Url::of_request(url);
    let header = |name: &str| {
        let mut pairs = headers.split('\n').filter_map(|line| line.split_once(": "));
        pairs.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    read(&RequestParts { method, path, query, header: &header }, url)
}

/// Calls `read` with the head of a request.
pub fn of<T>(request: &web_sys::Request, read: impl FnOnce(&RequestParts<'_>) -> T) -> T {
    let (url, method, headers) = (request.url(), request.method(), request.headers());
    let Url { path, query, .. } = Url::of_request(&url);
    let header = |name: &str| headers.get(name).ok().flatten();
    read(&RequestParts { method: &method, path, query, header: &header })
}
