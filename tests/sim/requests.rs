//! Requests as clients send them, each with the event that it must become.

use super::outside::Kind;
use super::script::Who;
use crate::support::request::Request;
use bytes::Bytes;
use edgequeue::queue::config::Settings;
use edgequeue::queue::entry::{Filter, Index, Priority};
use edgequeue::queue::event::{ConsumerId, Dedup, Event, Get, NewEntry, Rejection, Start, Ticket, Watch, WatcherId};
use edgequeue::queue::store::Side;
use edgequeue::wire::http::settings;
use edgequeue::wire::proto::frame;
use edgequeue::wire::v1::subprotocol::{PLAIN, SUBPROTOCOL};
use edgequeue::wire::{Address, Encoding, EntryEncoding, Form, PutEntry, Transport};

/// Nobody's ticket: what is asked for does not say which one it gets.
const TICKET: Ticket = Ticket(0);
const PROTOBUF: &str = "application/vnd.google.protobuf";
/// A get that waits at least a second is answered this much earlier than asked.
const EARLY_MS: u64 = 100;

/// A request for one side of the queue, and what becomes of it.
pub struct Asking {
    pub request: Request,
    pub side: Side,
    pub event: Event,
    pub kind: Kind,
}

pub fn consumer(who: Who) -> ConsumerId {
    ConsumerId { group: format!("g{}", who.group), user: format!("u{}", who.user) }
}

/// The other way round.
pub fn who(side: Side, consumer: &ConsumerId) -> Who {
    let number = |name: &str| name[1..].parse().expect("a letter and a number");
    Who { side, group: number(&consumer.group), user: number(&consumer.user) }
}

pub fn filter(color: Option<u8>) -> Filter {
    Filter(color.map(|color| ("color".to_string(), color.to_string())).into_iter().collect())
}

/// An entry as it is put.
pub fn put_entry(entry: &NewEntry) -> PutEntry {
    let NewEntry { priority, tags, data, dedup, .. } = entry.clone();
    PutEntry { tags, data, priority: Some(priority.0), once: dedup }
}

fn asking(side: Side, request: Request, event: Event, form: Form) -> Asking {
    let request = if side == Side::Rear { request.rear() } else { request };
    Asking { request, side, event, kind: Kind::Plain(form) }
}

pub fn put(side: Side, entries: Vec<NewEntry>) -> Asking {
    if let [NewEntry { priority: Priority(0), data, dedup: None | Some(Dedup::RequestId), tags, .. }] =
        entries.as_slice()
    {
        let once = if entries[0].dedup.is_some() { "&_once_=true" } else { "" };
        let tags: String = tags.iter().map(|(key, value)| format!("&{key}={value}")).collect();
        let request = Request::with_body("POST", format!("{}{once}", tags.trim_start_matches('&')), data.clone());
        return asking(side, request, Event::Put(TICKET, entries), Form::Put);
    }
    let frames: Vec<Bytes> = entries.iter().map(|entry| put_entry(entry).encode().into()).collect();
    let request = Request::with_body("POST", "_batch_=true", frame::list(&frames));
    let request = request.header("Content-Type", PROTOBUF).header("Accept", PROTOBUF);
    asking(side, request, Event::Put(TICKET, entries), Form::Batch(Encoding::Protobuf))
}

pub fn get(side: Side, start: Start, filter: Filter, count: u64, remove: bool, timeout_ms: u64) -> Asking {
    let mut query = format!("{}&_length_={count}&_auto_delete_={remove}&_raw_=false", at(start));
    if timeout_ms > 0 {
        query += &format!("&_timeout_={timeout_ms}ms");
    }
    let wait_ms = if timeout_ms < 1_000 { timeout_ms } else { timeout_ms - EARLY_MS };
    let request = Request::new("GET", query + &tags(&filter)).header("Accept", PROTOBUF);
    let form = Form::Entries(EntryEncoding::List(Encoding::Protobuf));
    asking(side, request, Event::Get(TICKET, Get { start, filter, count, remove, wait_ms }), form)
}

/// Without a connection of its own, which the broker chooses.
pub fn watch(side: Side, watch: Watch, transport: Transport) -> Asking {
    let Watch { consumer, start, window, auto_commit, index_only, filter, .. } = &watch;
    let query = format!(
        "_watch_=true&{}&_window_={window}&_auto_commit_={auto_commit}&_index_only_={index_only}{}",
        at(*start),
        tags(filter)
    );
    let request = Request::new("GET", query).by(&consumer.group, &consumer.user);
    let request = match transport {
        Transport::Socket => request.upgrade(""),
        Transport::Plain => request.upgrade(PLAIN),
        Transport::Session => request.upgrade(SUBPROTOCOL),
        Transport::Stream => request,
    };
    let event = Event::Attach(TICKET, WatcherId(0), watch);
    Asking { kind: Kind::Watch(transport), ..asking(side, request, event, Form::Done) }
}

pub fn commit(who: Who, indexes: Vec<Index>) -> Asking {
    let id = consumer(who);
    let request = Request::new("PUT", named(&indexes)).by(&id.group, &id.user);
    asking(who.side, request, Event::Commit(TICKET, id, indexes), Form::Done)
}

pub fn reject(who: Who, indexes: Vec<Index>, rejection: Rejection) -> Asking {
    let id = consumer(who);
    let query = format!("_negative_=true&{}&_delay_={}ms", named(&indexes), rejection.delay_ms);
    let body = format!("_code_={}&_reason_={}", rejection.code, rejection.reason);
    let request = Request::with_body("PUT", query, body).by(&id.group, &id.user);
    asking(who.side, request, Event::Reject(TICKET, id, indexes, rejection), Form::Done)
}

pub fn remove(side: Side, indexes: Vec<Index>) -> Asking {
    let request = Request::new("DELETE", named(&indexes));
    asking(side, request, Event::Remove(TICKET, indexes), Form::Done)
}

pub fn truncate(side: Side, below: u64) -> Asking {
    let request = Request::new("DELETE", format!("_trunc_=true&_index_={below}"));
    asking(side, request, Event::Truncate(TICKET, Index(below)), Form::Done)
}

pub fn end(side: Side, force: bool) -> Asking {
    let request = Request::new("POST", format!("_eos_=true&_force_={force}"));
    asking(side, request, Event::End(TICKET, force), Form::Done)
}

/// Changes the settings with these numbers; the others stay.
pub fn configure(settings: &Settings, keys: &[usize]) -> Asking {
    let shown: Vec<_> = settings::shown(settings).collect();
    let pairs: Vec<String> = keys.iter().map(|key| format!("{}={}", shown[*key].0, shown[*key].1)).collect();
    let body = Bytes::from(pairs.join("&"));
    let request = Request::with_body("PUT", "_settings_=true", body.clone());
    let event = Event::Configure(TICKET, settings.clone());
    Asking { kind: Kind::Configure(Form::Done, body), ..asking(Side::Main, request, event, Form::Done) }
}

pub fn stats(side: Side, address: Address) -> Asking {
    let form = Form::Attributes(Encoding::Json, address, side);
    asking(side, Request::new("GET", "_attrs_=true"), Event::Stats(TICKET), form)
}

pub fn count(side: Side, priority: Option<i64>, filter: Filter) -> Asking {
    let lane_query = priority.map(|priority| format!("&_priority_={priority}")).unwrap_or_default();
    let request = Request::new("GET", format!("_count_=true{lane_query}{}", tags(&filter)));
    asking(side, request, Event::Count(TICKET, priority.map(Priority), filter), Form::Count)
}

pub fn search(who: Who, index: u64) -> Asking {
    let id = consumer(who);
    let request = Request::new("GET", format!("_search_=true&_index_={index}")).by(&id.group, &id.user);
    asking(who.side, request, Event::Search(TICKET, id, Index(index)), Form::Position)
}

/// What became of a request. An input queue asks others too.
pub fn find(side: Side, address: Address, id: String) -> Asking {
    let request = Request::new("GET", format!("_status_=true&requestId={id}"));
    let form = Form::Progress(id.clone(), address.clone(), side);
    inquiry(asking(side, request, Event::Find(TICKET, id.clone()), form), &address, id)
}

pub fn cancel(side: Side, address: Address, id: String) -> Asking {
    let request = Request::new("DELETE", format!("_cancel_=true&requestId={id}"));
    let form = Form::Cancelled(id.clone());
    inquiry(asking(side, request, Event::Cancel(TICKET, id.clone()), form), &address, id)
}

fn inquiry(asking: Asking, address: &Address, id: String) -> Asking {
    if address.sink || asking.side == Side::Rear {
        return asking;
    }
    Asking { kind: Kind::Inquiry(id), ..asking }
}

fn at(start: Start) -> String {
    match start {
        Start::At(index) => format!("_index_={}", index.0),
        Start::Newest => "_index_=-1".into(),
    }
}

fn tags(filter: &Filter) -> String {
    filter.0.iter().map(|(key, value)| format!("&{key}={value}")).collect()
}

fn named(indexes: &[Index]) -> String {
    let indexes: Vec<String> = indexes.iter().map(|index| index.0.to_string()).collect();
    format!("_indexes_={}", indexes.join(","))
}
