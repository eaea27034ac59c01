//! Method, address and headers of a request. JavaScript passes them in one text, as each text costs a crossing.

use crate::wire::{RequestParts, url::Url, v1::subprotocol};

/// The head of a request, in lines: the method, the address, then `name: value` for each header.
pub struct HeadText<'a> {
    method: &'a str,
    /// The address.
    pub url: Url<'a>,
    headers: &'a str,
}

impl<'a> HeadText<'a> {
    /// Splits the text.
    pub fn new(text: &'a str) -> Self {
        let (method, rest) = text.split_once('\n').unwrap_or((text, ""));
        let (url, headers) = rest.split_once('\n').unwrap_or((rest, ""));
        Self { method, url: Url::of_request(url), headers }
    }

    /// Calls `read` with the head. Its headers include those that the watch of a browser carries in its subprotocols.
    pub fn read<T>(&self, read: impl FnOnce(&RequestParts<'_>) -> T) -> T {
        let header = |name: &str| self.sent(name).or_else(|| self.carried(name));
        let Url { path, query, .. } = self.url;
        read(&RequestParts { method: self.method, path, query, header: &header })
    }

    /// A header of the request itself.
    pub fn sent(&self, name: &str) -> Option<String> {
        let mut pairs = self.headers.split('\n').filter_map(|line| line.split_once(": "));
        pairs.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    }

    /// A header that a watch carries as [`subprotocol`] describes. Other requests carry none.
    pub fn carried(&self, name: &str) -> Option<String> {
        let offered = self.url.query.contains("_watch_").then(|| self.sent("Sec-WebSocket-Protocol"))?;
        subprotocol::carried(&offered?, name)
    }
}
