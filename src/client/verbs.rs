//! The verbs of a queue: one method of [`Endpoint`] makes the request for each.

use super::endpoint::Endpoint;
use super::request::{HttpRequest, Put, Read, WatchOptions};
use crate::queue::entry::{TAG_REQUEST_ID, Tags};
use crate::queue::event::{Rejection, Start};
use crate::wire::duration;
use crate::wire::names::PROTOBUF;
use crate::wire::names::{
    HEADER_GROUP, HEADER_GROUP_REDIS, HEADER_PRIORITY, HEADER_REAR, HEADER_USER, HEADER_USER_REDIS,
};
use alloc::{format, string::String, string::ToString, vec::Vec};
use bytes::Bytes;
use form_urlencoded::Serializer;

/// A query under construction.
struct QueryBuilder(Serializer<'static, String>);

impl QueryBuilder {
    fn new(tags: &Tags) -> Self {
        let mut query = Self(Serializer::new(String::new()));
        for (key, value) in tags {
            query.0.append_pair(key, value);
        }
        query
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.0.append_pair(name, value);
        self
    }

    fn flag(self, name: &str) -> Self {
        self.with(name, "true")
    }
}

fn start_text(start: Start) -> String {
    match start {
        Start::At(index) => index.0.to_string(),
        Start::Newest => "-1".into(),
    }
}

/// The tag that names a request.
fn named(request_id: &str) -> Tags {
    [(TAG_REQUEST_ID.into(), request_id.into())].into()
}

fn joined(indexes: &[u64]) -> String {
    let texts: Vec<String> = indexes.iter().map(u64::to_string).collect();
    texts.join(",")
}

impl Endpoint {
    fn request(&self, method: &'static str, suffix: &str, query: QueryBuilder) -> HttpRequest {
        let mut query = query.0;
        let query = query.finish();
        let mut target = format!("{}{suffix}", self.path);
        if target.is_empty() {
            target.push('/');
        }
        if !query.is_empty() {
            target.push('?');
            target.push_str(&query);
        }
        // Both spellings of the names: services announce the first, some only know the second.
        let (group, user) = (&self.consumer.group, &self.consumer.user);
        let mut headers = Vec::from([
            (HEADER_USER, user.clone()),
            (HEADER_GROUP, group.clone()),
            (HEADER_USER_REDIS, user.clone()),
            (HEADER_GROUP_REDIS, group.clone()),
        ]);
        if !self.token.is_empty() {
            headers.push(("Authorization", self.token.clone()));
        }
        if self.rear {
            headers.push((HEADER_REAR, "true".into()));
        }
        HttpRequest { method, target, headers, body: Bytes::new(), repeatable: method != "POST" }
    }

    fn post(&self, put: &Put, query: QueryBuilder, body: Bytes) -> HttpRequest {
        let query = if put.priority == 0 { query } else { query.with("_priority_", &put.priority.to_string()) };
        let query = if put.once { query.flag("_once_") } else { query };
        let query = if put.callback.is_empty() { query } else { query.with("_callback_", &put.callback) };
        let mut request = HttpRequest { body, repeatable: put.once, ..self.request("POST", &put.path, query) };
        if put.priority != 0 {
            request.headers.push((HEADER_PRIORITY, put.priority.to_string()));
        }
        request
    }

    /// Puts one entry: see [`answer::put`](super::answer::put).
    pub fn put(&self, put: &Put, body: Bytes) -> HttpRequest {
        self.post(put, QueryBuilder::new(&put.tags), body)
    }

    /// Puts a list of frames, all or none: see [`answer::put_batch`](super::answer::put_batch). Only for services that
    /// [take batches](super::answer::is_edgequeue).
    pub fn put_batch(&self, put: &Put, list: Vec<u8>) -> HttpRequest {
        let mut request = self.post(put, QueryBuilder::new(&put.tags).flag("_batch_"), list.into());
        request.headers.push(("Content-Type", PROTOBUF.into()));
        request.headers.push(("Accept", PROTOBUF.into()));
        request
    }

    /// Reads entries: see [`answer::entries`](super::answer::entries). A read that removes is not repeatable: the
    /// entries of a lost answer are gone.
    pub fn get(&self, read: &Read) -> HttpRequest {
        let query = QueryBuilder::new(&read.tags)
            .with("_index_", &start_text(read.start))
            .with("_length_", &read.count.to_string())
            .with("_timeout_", &duration::print(read.wait_ms))
            .with("_auto_delete_", if read.remove { "true" } else { "false" })
            .with("_raw_", "false");
        let mut request = self.request("GET", "", query);
        request.headers.push(("Accept", PROTOBUF.into()));
        request.repeatable = !read.remove;
        request
    }

    /// Asks for the attributes: see [`answer::attributes`](super::answer::attributes).
    pub fn attributes(&self) -> HttpRequest {
        self.request("GET", "", QueryBuilder::new(&Tags::new()).flag("_attrs_"))
    }

    /// Counts entries: see [`answer::count`](super::answer::count).
    pub fn count(&self, priority: Option<i64>, tags: &Tags) -> HttpRequest {
        let query = QueryBuilder::new(tags).flag("_count_");
        let query = match priority {
            Some(priority) => query.with("_priority_", &priority.to_string()),
            None => query,
        };
        self.request("GET", "", query)
    }

    /// Asks where an entry stands: see [`answer::position`](super::answer::position).
    pub fn search(&self, index: u64) -> HttpRequest {
        self.request("GET", "", QueryBuilder::new(&Tags::new()).flag("_search_").with("_index_", &index.to_string()))
    }

    /// Asks what became of a request (our own service only): see [`answer::progress`](super::answer::progress).
    pub fn status(&self, request_id: &str) -> HttpRequest {
        self.request("GET", "", QueryBuilder::new(&named(request_id)).flag("_status_"))
    }

    /// Cancels a request (our own service only): see [`answer::cancelled`](super::answer::cancelled).
    pub fn cancel(&self, request_id: &str) -> HttpRequest {
        self.request("DELETE", "", QueryBuilder::new(&named(request_id)).flag("_cancel_"))
    }

    /// Subscribes; the answer is a WebSocket.
    pub fn watch(&self, subscribe: &WatchOptions) -> HttpRequest {
        let flag = |set| if set { "true" } else { "false" };
        let query = QueryBuilder::new(&subscribe.tags)
            .flag("_watch_")
            .with("_index_", &start_text(subscribe.start))
            .with("_window_", &subscribe.window.to_string())
            .with("_index_only_", flag(subscribe.index_only))
            .with("_auto_commit_", flag(subscribe.auto_commit));
        let mut request = self.request("GET", "", query);
        request.headers.push(("Accept", PROTOBUF.into()));
        request
    }

    /// Commits entries: see [`answer::done`](super::answer::done).
    pub fn commit(&self, indexes: &[u64]) -> HttpRequest {
        self.request("PUT", "", QueryBuilder::new(&Tags::new()).with("_indexes_", &joined(indexes)))
    }

    /// Refuses entries: see [`answer::done`](super::answer::done).
    pub fn reject(&self, indexes: &[u64], rejection: &Rejection) -> HttpRequest {
        let query = QueryBuilder::new(&Tags::new()).with("_indexes_", &joined(indexes)).flag("_negative_");
        let query = match rejection.delay_ms {
            0 => query,
            delay_ms => query.with("_delay_", &duration::print(delay_ms)),
        };
        let mut form = Serializer::new(String::new());
        for (name, value) in [("_code_", &rejection.code), ("_reason_", &rejection.reason)] {
            if !value.is_empty() {
                form.append_pair(name, value);
            }
        }
        let mut request = self.request("PUT", "", query);
        request.headers.push(("Content-Type", "application/x-www-form-urlencoded".into()));
        request.body = form.finish().into();
        request
    }

    /// Removes entries: see [`answer::done`](super::answer::done).
    pub fn delete(&self, indexes: &[u64]) -> HttpRequest {
        self.request("DELETE", "", QueryBuilder::new(&Tags::new()).with("_indexes_", &joined(indexes)))
    }

    /// Removes everything below `below`: see [`answer::done`](super::answer::done).
    pub fn truncate(&self, below: u64) -> HttpRequest {
        self.request("DELETE", "", QueryBuilder::new(&Tags::new()).with("_index_", &below.to_string()).flag("_trunc_"))
    }

    /// Ends the stream: see [`answer::done`](super::answer::done).
    pub fn end(&self, force: bool) -> HttpRequest {
        let query = QueryBuilder::new(&Tags::new()).flag("_eos_");
        let query = if force { query.flag("_force_") } else { query };
        HttpRequest { repeatable: true, ..self.request("POST", "", query) }
    }

    /// Asks for the settings of the queue (our own service only): see [`answer::text`](super::answer::text).
    pub fn settings(&self) -> HttpRequest {
        self.request("GET", "", QueryBuilder::new(&Tags::new()).flag("_settings_"))
    }

    /// Changes settings of the queue (our own service only): see [`answer::done`](super::answer::done).
    pub fn configure(&self, settings: &Tags) -> HttpRequest {
        let mut request = self.request("PUT", "", QueryBuilder::new(&Tags::new()).flag("_settings_"));
        let mut form = Serializer::new(String::new());
        form.extend_pairs(settings);
        request.headers.push(("Content-Type", "application/x-www-form-urlencoded".into()));
        request.body = form.finish().into();
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::entry::Index;
    use crate::wire::{self, CallPurpose, Operation, RequestParts};

    fn endpoint() -> Endpoint {
        let endpoint = Endpoint::parse("http://a/api/predict/x").unwrap_or_else(|wrong| panic!("{wrong}"));
        Endpoint { token: "secret".into(), ..endpoint }
    }

    /// What our own service makes of a request.
    fn purpose(request: &HttpRequest) -> CallPurpose {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let header = |name: &str| {
            let found = request.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone())
        };
        let parts = RequestParts { method: request.method, path, query, header: &header };
        match wire::parse(&parts, 1_000) {
            Ok(call) => call.purpose,
            Err(answer) => panic!("{answer:?}"),
        }
    }

    fn read(request: &HttpRequest) -> Operation {
        let CallPurpose::Operation(operation) = purpose(request) else { panic!("{request:?}") };
        operation
    }

    #[test]
    fn the_service_understands_every_request() {
        let endpoint = endpoint();
        let tags: Tags = [("k k".to_string(), "v&=\u{e9}".to_string())].into();
        let put = Put { tags: tags.clone(), priority: 3, path: "/a/b".into(), ..Put::default() };
        let Operation::Put { priority, tags: stored, once } = read(&endpoint.put(&put, Bytes::new())) else { panic!() };
        assert!(!once && !stored.contains_key("callback") && !endpoint.put(&put, Bytes::new()).repeatable);
        assert_eq!(
            (priority.0, stored.get("k k"), stored.get("Path")),
            (3, tags.get("k k"), Some(&"/a/b".to_string()))
        );

        let callback = "https://a/?b=1&c=%20";
        let once = Put { tags: named("mine"), once: true, callback: callback.into(), ..Put::default() };
        let Operation::Put { tags: stored, once: read_once, .. } = read(&endpoint.put(&once, Bytes::new())) else {
            panic!()
        };
        assert!(read_once && endpoint.put(&once, Bytes::new()).repeatable);
        assert_eq!(stored.get("callback").map(String::as_str), Some(callback));
        let Operation::Batch { batch, .. } = read(&endpoint.put_batch(&once, Vec::new())) else { panic!() };
        assert!(batch.defaults.once);

        let what = Read { start: Start::Newest, count: 7, wait_ms: 500, remove: false, tags: tags.clone() };
        let Operation::Get { get, encoding } = read(&endpoint.get(&what)) else { panic!() };
        assert_eq!((get.start, get.count, get.wait_ms, get.remove), (Start::Newest, 7, 500, false));
        assert_eq!((get.filter.0, encoding), (tags.clone(), wire::EntryEncoding::List(wire::Encoding::Protobuf)));

        let subscribe = WatchOptions {
            start: Start::At(Index(4)),
            window: 6,
            auto_commit: true,
            index_only: true,
            tags: tags.clone(),
        };
        let CallPurpose::Watch { watch, .. } = purpose(&endpoint.watch(&subscribe)) else { panic!() };
        assert_eq!((watch.start, watch.window), (subscribe.start, 6));
        assert!(watch.auto_commit && watch.index_only);

        let indexes = alloc::vec![Index(1), Index(2)];
        assert_eq!(read(&endpoint.commit(&[1, 2])), Operation::Commit { indexes: indexes.clone() });
        assert_eq!(read(&endpoint.delete(&[1, 2])), Operation::Remove { indexes: indexes.clone() });
        let rejection = Rejection { code: "OOM".into(), reason: "no & room".into(), delay_ms: 5_000 };
        let request = endpoint.reject(&[1, 2], &rejection);
        assert_eq!(read(&request), Operation::Reject { indexes, delay_ms: Some(5_000) });
        assert_eq!(wire::rejection::parse(&request.body, Some(5_000)), Ok(rejection));
        assert_eq!(read(&endpoint.truncate(9)), Operation::Truncate { below: Index(9) });
        assert_eq!(read(&endpoint.search(9)), Operation::Search { index: Index(9) });
        let request_id = || "a b".to_string();
        assert_eq!(read(&endpoint.status("a b")), Operation::Status { request_id: request_id() });
        assert_eq!(read(&endpoint.cancel("a b")), Operation::Cancel { request_id: request_id() });
        assert_eq!(read(&endpoint.end(true)), Operation::End { force: true });
        assert_eq!(read(&endpoint.settings()), Operation::Settings);
        assert_eq!(read(&endpoint.configure(&tags)), Operation::Configure);
        assert!(matches!(read(&endpoint.attributes()), Operation::Attributes { .. }));
        assert!(matches!(read(&endpoint.count(Some(1), &tags)), Operation::Count { .. }));
    }
}
