//! The broker as its shell sees it: requests, connections, failures, sleeps.

#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use bytes::Bytes;
use edgequeue::broker::{Body, Broker, ConnectionId, FetchId, Fetched, Input, Message, Output, RequestId, Wait};
use edgequeue::inference::outcome;
use edgequeue::queue::entry::{Frame, Index};
use edgequeue::queue::refusal::StoreError;
use edgequeue::store::{SegmentStore, memory::MemoryRows};
use edgequeue::wire::proto::frame;
use edgequeue::wire::v1::client::{ClientCommand, ClientRequest};
use edgequeue::wire::v1::server::{ServerAnswer, ServerEvent};
use edgequeue::wire::v1::subprotocol::SUBPROTOCOL;
use edgequeue::wire::{self, Answer, Progress, PutEntry, RequestParts, Transport};
use prost::Message as _;
use support::disk::MemoryDisk;
use support::host::{Clock, Host, Variables};
use support::request::{Request, events};

fn host() -> Host<MemoryDisk> {
    Host::new("demo", Variables::new(), MemoryDisk::default(), Clock::new(1_700_000_000_000))
}

fn put(body: &'static str) -> Request {
    Request::with_body("POST", "", body)
}

/// Watches over a socket of `edgequeue.v1`.
fn session(host: &mut Host<MemoryDisk>, user: &str, window: u32) -> ConnectionId {
    let query = format!("_watch_=true&_window_={window}");
    host.request(&Request::new("GET", query).by("g", user).upgrade(SUBPROTOCOL));
    host.settle();
    let accepted = host.seen().into_iter().find_map(|output| match output {
        Output::Accept { connection, transport: Transport::Session, .. } => Some(connection),
        _ => None,
    });
    accepted.expect("a session")
}

fn send(host: &mut Host<MemoryDisk>, connection: ConnectionId, commands: Vec<ClientCommand>) {
    let mut message = Vec::new();
    for (id, command) in (1..).zip(commands) {
        ClientRequest { id, command }.write(&mut message);
    }
    host.message(connection, Message::Binary(message.into()));
}

fn entry(body: &'static str) -> PutEntry {
    PutEntry { data: body.into(), ..PutEntry::default() }
}

fn answers(host: &mut Host<MemoryDisk>) -> Vec<Answer> {
    let answer = |output| match output {
        Output::Answer(_, answer) => Some(answer),
        _ => None,
    };
    host.seen().into_iter().filter_map(answer).collect()
}

fn statuses(host: &mut Host<MemoryDisk>) -> Vec<u16> {
    answers(host).into_iter().map(|answer| answer.status).collect()
}

/// What sessions were told: the indexes of pushed entries, and answers.
fn told(host: &mut Host<MemoryDisk>) -> (Vec<u64>, Vec<ServerAnswer>) {
    let (mut pushed, mut answered) = (Vec::new(), Vec::new());
    for output in host.seen() {
        let Output::Send(_, bytes) = output else { continue };
        for event in events(Transport::Session, bytes) {
            match event {
                ServerEvent::Pushed(frame) => pushed.push(Frame::decode(frame).unwrap().index),
                ServerEvent::Answered(answer) => answered.push(answer),
            }
        }
    }
    (pushed, answered)
}

#[test]
fn nothing_is_seen_before_it_is_durable() {
    let mut host = host();
    host.request(&put("a"));
    host.drain();
    while host.waiting() != Some(Wait::Durable) {
        host.waited();
        host.drain();
    }
    assert_eq!(host.seen(), []);
    host.waited();
    host.settle();
    assert_eq!(statuses(&mut host), [200]);
}

#[test]
fn requests_that_come_together_share_a_flush() {
    let mut host = host();
    for _ in 0..50 {
        host.request(&put("a"));
        host.drain();
    }
    host.settle();
    assert_eq!(statuses(&mut host), [200; 50]);
    assert_eq!(host.spent.flushes, 1);
}

#[test]
fn what_a_session_holds_outlives_a_sleep() {
    let mut host = host();
    let connection = session(&mut host, "u", 2);
    send(&mut host, connection, vec![ClientCommand::Put(vec![entry("a"), entry("b"), entry("c")], false)]);
    host.settle();
    assert_eq!(told(&mut host).0, [1, 2]);
    host.sleep();
    send(&mut host, connection, vec![ClientCommand::Commit(vec![Index(1)])]);
    host.settle();
    assert_eq!(told(&mut host), (vec![3], vec![ServerAnswer { id: 1, ..ServerAnswer::default() }]));
}

#[test]
fn a_failed_flush_is_answered_and_forgotten() {
    let mut host = host();
    host.request(&put("a"));
    host.faults.flushes = 1;
    host.settle();
    assert_eq!(statuses(&mut host), [503]);
    host.request(&Request::with_body("POST", "", Bytes::from("b")));
    host.settle();
    assert_eq!(answers(&mut host)[0].body, "1");
}

#[test]
fn requests_beyond_a_failed_flush_are_carried_out_and_told_nothing_else() {
    let mut host = host();
    let connection = session(&mut host, "u", 0);
    host.faults.flushes = 1;
    // A flush takes a thousand of them.
    send(&mut host, connection, (0..1_200).map(|_| ClientCommand::Put(vec![entry("x")], false)).collect());
    host.settle();
    let (_, answers) = told(&mut host);
    assert_eq!(answers.iter().map(|answer| answer.id).collect::<Vec<_>>(), (1..=1_200).collect::<Vec<_>>());
    assert!(answers[..1_000].iter().all(|answer| answer.status == 503));
    assert!(answers[1_000..].iter().all(|answer| answer.status == 0));
}

#[test]
fn a_damaged_queue_says_so_and_is_not_tried_again_by_itself() {
    type Store = SegmentStore<MemoryRows>;
    let mut broker: Broker<Store> = Broker::new("demo", Box::new(|_| None));
    let parts = RequestParts { method: "POST", path: "/api/predict/demo", query: "", header: &|_| None };
    let call = wire::parse(&parts, 1).expect("a good request");
    broker.handle(1, Input::Request { id: RequestId(1), call, body: Body::Whole("x".into()), random: 1 });
    let mut said = Vec::new();
    while let Some(output) = broker.poll(1) {
        match output {
            Output::Wait(_) => broker.handle(1, Input::Waited),
            Output::Open => {
                let store = Err(StoreError::corrupt("the manifest", "its checksum is wrong"));
                broker.handle(1, Input::Opened { store, sockets: Vec::new() });
            }
            output => said.push(output),
        }
    }
    let [Output::Log(log), Output::Answer(RequestId(1), answer)] = &said[..] else { panic!("{said:?}") };
    assert!(log.contains("the manifest is damaged"), "{log}");
    assert_eq!(answer.status, 500);
    assert!(std::str::from_utf8(&answer.body).unwrap().contains("restore the queue"), "{answer:?}");
}

#[test]
fn a_session_cannot_put_what_the_service_would_sign() {
    let clock = Clock::new(1_700_000_000_000);
    let mut host = Host::new("demo/~callbacks", Variables::new(), MemoryDisk::default(), clock);
    let connection = session(&mut host, "u", 0);
    send(&mut host, connection, vec![ClientCommand::Put(vec![entry("forged")], false)]);
    host.settle();
    let (_, answers) = told(&mut host);
    assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [405]);
}

/// A queue whose entries a predictor infers.
fn inferring() -> Host<MemoryDisk> {
    let variables = Variables::from([("EDGEQUEUE_SOURCE_PREDICTOR".into(), "https://predictor".into())]);
    Host::new("demo", variables, MemoryDisk::default(), Clock::new(1_700_000_000_000))
}

/// The call that was made last.
fn call(host: &mut Host<MemoryDisk>) -> FetchId {
    let call = |output| match output {
        Output::Fetch(id, _) => Some(id),
        _ => None,
    };
    host.seen().into_iter().filter_map(call).next_back().unwrap()
}

/// A call is answered as far as its answer begins.
fn begin(host: &mut Host<MemoryDisk>, call: FetchId, status: u16) {
    host.fetched(host.life(), call, Fetched::Begun(status, None));
    host.drain();
}

fn answer(host: &mut Host<MemoryDisk>, call: FetchId, status: u16, body: impl Into<Bytes>) {
    let answer = outcome::PredictorAnswer { status, body: body.into(), ..outcome::PredictorAnswer::default() };
    host.fetched(host.life(), call, Fetched::Answered(answer));
    host.drain();
}

#[test]
fn what_is_handed_out_inside_is_woken_up_for_whenever_the_memory_is_lost() {
    let mut host = inferring();
    host.request(&put("a"));
    loop {
        while host.spent.flushes == 0 && host.step() {}
        if host.spent.flushes > 0 {
            break;
        }
        host.waited();
    }
    host.crash(true);
    assert!(host.alarm_ms().is_some(), "the entry is stored and nobody will come by");
}

#[test]
fn a_request_whose_result_was_stored_before_the_turn_of_its_cancellation_is_not_cancelled() {
    let mut host = inferring();
    host.request(&Request::with_body("POST", "requestId=r", "a"));
    host.settle();
    let predictor = call(&mut host);
    begin(&mut host, predictor, 200);
    answer(&mut host, predictor, 200, "result");
    let sink = call(&mut host);
    begin(&mut host, sink, 200);
    host.request(&Request::new("DELETE", "_cancel_=true&requestId=r"));
    host.drain();
    let receipt = Frame { index: 1, ..Frame::default() }.encode_to_vec();
    answer(&mut host, sink, 200, frame::list(&[receipt.into()]));
    host.settle();
    // Somebody has taken the result from the sink meanwhile.
    let status = call(&mut host);
    begin(&mut host, status, 404);
    answer(&mut host, status, 404, Progress::Unknown.answer("r").body);
    host.settle();
    assert_eq!(statuses(&mut host), [404]);
}

/// Puts the result of a request into the sink, unless somebody answers.
fn infer(host: &mut Host<MemoryDisk>) -> FetchId {
    host.settle();
    let predictor = call(host);
    begin(host, predictor, 200);
    answer(host, predictor, 200, "result");
    call(host)
}

fn set_predictor(host: &mut Host<MemoryDisk>, predictor: &'static str) {
    host.request(&Request::with_body("PUT", "_settings_=true", predictor));
    host.settle();
    assert_eq!(statuses(host), [200]);
}

#[test]
fn an_answer_to_a_put_from_before_the_predictor_changed_is_not_taken_for_that_to_a_later_put() {
    let mut host = inferring();
    host.request(&put("a"));
    let earlier = infer(&mut host);
    set_predictor(&mut host, "predictor=");
    host.request(&Request::new("DELETE", "_indexes_=1"));
    host.settle();
    host.request(&put("b"));
    host.settle();
    host.seen();
    host.request(&Request::with_body("PUT", "_settings_=true", "predictor=https://predictor"));
    let later = infer(&mut host);
    assert_ne!(earlier, later);
    begin(&mut host, earlier, 200);
    let receipt = Frame { index: 1, ..Frame::default() }.encode_to_vec();
    answer(&mut host, earlier, 200, frame::list(&[receipt.into()]));
    host.settle();
    host.request(&Request::new("GET", "_count_=true"));
    host.settle();
    assert_eq!(answers(&mut host).last().expect("a count").body, "1", "b is not committed");
}

#[test]
fn a_predictor_that_hangs_is_given_up_in_time() {
    let mut host = inferring();
    host.request(&put("a"));
    host.settle();
    let predictor = call(&mut host);
    let due_ms = host.timer_ms().expect("a timer for the call");
    host.clock.set(due_ms);
    host.timer();
    host.settle();
    assert!(host.seen().contains(&Output::Abort(predictor)));
}
