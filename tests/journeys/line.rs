//! A line as the request that a client sends.

use super::words::{Words, body, makes_no_sense, number};
use crate::support::request::Request;
use bytes::Bytes;
use edgequeue::queue::entry::{Index, Tags};
use edgequeue::queue::event::Dedup;
use edgequeue::wire::PutEntry;
use edgequeue::wire::names::{HEADER_PRIORITY, PROTOBUF};
use edgequeue::wire::proto::frame;

/// A get is answered this much before its client gives up, so that it arrives in time.
const EARLY_MS: u64 = 100;

/// A request, and how its answer is shown.
#[derive(Clone, Debug)]
pub struct Line {
    pub request: Request,
    pub shown: Shown,
}

/// How an answer is shown.
#[derive(Clone, Debug)]
pub enum Shown {
    /// Whether it was done.
    Done,
    /// The indexes of these bodies.
    Put(Vec<Bytes>),
    /// Entries. The name of a get that waits.
    Entries(Option<String>),
    /// A connection with this name; whether it is sent heads only.
    Watch(String, bool),
    Count,
    Position,
    Cancelled,
    /// What the queue said, as no answer tells all of it.
    Reply(About),
}

/// Which part of the state is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    Queue,
    Consumers,
    Groups,
    Numbers,
    Entry,
}

/// Query parameters under construction.
struct Query(form_urlencoded::Serializer<'static, String>);

impl Query {
    fn of(pairs: &[(&str, &str)]) -> Self {
        let mut query = Self(form_urlencoded::Serializer::new(String::new()));
        pairs.iter().for_each(|(key, value)| query.add(key, value));
        query
    }

    fn add(&mut self, key: &str, value: &str) {
        self.0.append_pair(key, value);
    }

    /// A tag, `k=v`.
    fn tag(&mut self, word: &str) -> Result<(), String> {
        let (key, value) = word.split_once('=').ok_or_else(|| makes_no_sense(word))?;
        self.add(key, value);
        Ok(())
    }

    fn finish(mut self) -> String {
        self.0.finish()
    }
}

/// Reads a line. `request_id` gives the request id that a word names.
pub fn read(
    verb: &str,
    mut words: Words<'_>,
    request_id: impl Fn(&str) -> Result<String, String>,
) -> Result<Line, String> {
    let simple = |method: &'static str, pairs: &[(&str, &str)]| Request::new(method, Query::of(pairs).finish());
    let (request, shown) = match verb {
        "put" => put(&mut words)?,
        "get" => get(&mut words)?,
        "watch" => watch(&mut words)?,
        "commit" => {
            let (group, user) = words.consumer()?;
            (simple("PUT", &[("_indexes_", &words.indexes()?)]).by(group, user), Shown::Done)
        }
        "reject" => (reject(&mut words)?, Shown::Done),
        "remove" => (simple("DELETE", &[("_indexes_", &words.indexes()?)]), Shown::Done),
        "truncate" => {
            (simple("DELETE", &[("_trunc_", "true"), ("_index_", &words.number()?.to_string())]), Shown::Done)
        }
        "end" => {
            let force = words.next() == Some("force");
            (simple("POST", &[("_eos_", "true"), ("_force_", if force { "true" } else { "false" })]), Shown::Done)
        }
        "set" => (Request::with_body("PUT", "_settings_=true", words.rest().join("&")), Shown::Done),
        "queue" | "consumers" | "groups" | "numbers" => {
            let about = match verb {
                "consumers" => About::Consumers,
                "groups" => About::Groups,
                "numbers" => About::Numbers,
                _ => About::Queue,
            };
            (simple("GET", &[("_attrs_", "true")]), Shown::Reply(about))
        }
        "count" => (count(&mut words)?, Shown::Count),
        "find" => {
            let id = request_id(words.word()?)?;
            (simple("GET", &[("_status_", "true"), ("requestId", &id)]), Shown::Reply(About::Entry))
        }
        "cancel" => {
            let id = request_id(words.word()?)?;
            (simple("DELETE", &[("_cancel_", "true"), ("requestId", &id)]), Shown::Cancelled)
        }
        "search" => {
            let (group, user) = words.consumer()?;
            let index = words.number()?.to_string();
            (simple("GET", &[("_search_", "true"), ("_index_", &index)]).by(group, user), Shown::Position)
        }
        _ => return Err(format!("`{verb}` is nothing that happens")),
    };
    words.end()?;
    Ok(Line { request, shown })
}

/// One body is a put of its own; several are a batch, and so is what says which entries of another queue it is about.
fn put(words: &mut Words<'_>) -> Result<(Request, Shown), String> {
    let (mut tags, mut bodies, mut priority, mut dedup) = (Tags::new(), Vec::new(), "0", None);
    let (mut sources, mut settled_below) = (Vec::new(), Index(0));
    while let Some(word) = words.next() {
        match (word, word.split_once('=')) {
            ("priority", _) => priority = words.word()?,
            ("once", _) => dedup = Some(Dedup::RequestId),
            ("of", _) => sources = words.word()?.split(',').map(number).collect::<Result<_, _>>()?,
            ("settled", _) => settled_below = Index(words.number()?),
            (_, Some((key, value))) => drop(tags.insert(key.into(), value.into())),
            _ => bodies.push(body(word)?),
        }
    }
    let request = match (&bodies[..], &sources[..]) {
        ([body], []) => {
            let mut query = Query::of(&[]);
            tags.iter().for_each(|(key, value)| query.add(key, value));
            if dedup.is_some() {
                query.add("_once_", "true");
            }
            Request::with_body("POST", query.finish(), body.clone())
        }
        _ => {
            let entry = |(at, data): (usize, &Bytes)| {
                let source = sources.get(at).map(|index| Dedup::Source { index: Index(*index), settled_below });
                PutEntry { tags: tags.clone(), data: data.clone(), priority: None, once: source.or(dedup) }
            };
            let entries: Vec<Bytes> =
                bodies.iter().enumerate().map(|entry_of| entry(entry_of).encode().into()).collect();
            let batch = Request::with_body("POST", "_batch_=true", frame::list(&entries));
            batch.header("Content-Type", PROTOBUF).header("Accept", PROTOBUF)
        }
    };
    Ok((request.header(HEADER_PRIORITY, priority), Shown::Put(bodies)))
}

fn get(words: &mut Words<'_>) -> Result<(Request, Shown), String> {
    let (mut query, mut name) = (Query::of(&[("_raw_", "false")]), "it");
    while let Some(word) = words.next() {
        match word {
            "from" => query.add("_index_", words.word()?),
            "newest" => query.add("_index_", "-1"),
            "count" => query.add("_length_", words.word()?),
            "keep" => query.add("_auto_delete_", "false"),
            "wait" => query.add("_timeout_", &format!("{}ms", words.time()? + EARLY_MS)),
            "as" => name = words.word()?,
            word => query.tag(word)?,
        }
    }
    let request = Request::new("GET", query.finish()).header("Accept", PROTOBUF);
    Ok((request, Shown::Entries(Some(name.into()))))
}

fn watch(words: &mut Words<'_>) -> Result<(Request, Shown), String> {
    let (group, user) = words.consumer()?;
    let (mut name, mut heads, mut over_http, mut window) = (user, false, false, "10");
    let mut query = Query::of(&[("_watch_", "true")]);
    while let Some(word) = words.next() {
        match word {
            "window" => window = words.word()?,
            "from" => query.add("_index_", words.word()?),
            "newest" => query.add("_index_", "-1"),
            "auto" => query.add("_auto_commit_", "true"),
            "heads" => heads = true,
            "over" if words.next() == Some("http") => over_http = true,
            "as" => name = words.word()?,
            word => query.tag(word)?,
        }
    }
    query.add("_window_", window);
    if heads {
        query.add("_index_only_", "true");
    }
    let request = Request::new("GET", query.finish()).by(group, user);
    let request = if over_http { request } else { request.upgrade("") };
    Ok((request, Shown::Watch(name.into(), heads)))
}

fn reject(words: &mut Words<'_>) -> Result<Request, String> {
    let (group, user) = words.consumer()?;
    let (mut form, mut indexes) = (Query::of(&[]), Vec::new());
    while let Some(word) = words.next() {
        match word {
            "delay" => form.add("_delay_", words.word()?),
            "code" => form.add("_code_", words.word()?),
            "reason" => form.add("_reason_", &words.rest().join(" ")),
            word => indexes.push(number(word)?.to_string()),
        }
    }
    let query = Query::of(&[("_negative_", "true"), ("_indexes_", &indexes.join(","))]);
    Ok(Request::with_body("PUT", query.finish(), form.finish()).by(group, user))
}

fn count(words: &mut Words<'_>) -> Result<Request, String> {
    let mut query = Query::of(&[("_count_", "true")]);
    while let Some(word) = words.next() {
        match word {
            "priority" => query.add("_priority_", words.word()?),
            word => query.tag(word)?,
        }
    }
    Ok(Request::new("GET", query.finish()))
}
