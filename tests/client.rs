//! The client's watch in virtual time: rule by rule here, and against everything that breaks in `world`.

#[path = "client/support.rs"]
mod support;
#[path = "client/world.rs"]
mod world;

use bytes::Bytes;
use edgequeue::client::{
    Decision, End, FailureKind, HttpResponse, Subscription, Todo, WatchOptions, WatchPhase, WatchTransport,
};
use edgequeue::queue::entry::Index;
use edgequeue::queue::event::Start;
use edgequeue::wire::Operation;
use edgequeue::wire::v1::client::ClientCommand;
use edgequeue::wire::v1::subprotocol::SUBPROTOCOL;
use support::{
    OK, PLAIN, SESSION, answer, asked, connect, endpoint, frame, message, next, open, operation, options, pushed, watch,
};

#[test]
fn what_comes_again_is_told_again_but_not_given_out() {
    let mut watch = watch(PLAIN);
    let connection = open(&mut watch);
    assert_eq!(message(&mut watch, 1, connection, frame(7, "a")), Some(7));
    assert_eq!(message(&mut watch, 1, connection, frame(7, "a")), None, "held");
    watch.decide(7, Decision::Commit);
    let Todo::Settle(_) = next(&mut watch, 1) else { panic!() };
    watch.settled(1, Some(&OK));
    watch.message(2, connection, frame(7, "a"));
    let Todo::Settle(request) = next(&mut watch, 2) else { panic!("committed again") };
    assert_eq!(operation(&request), Operation::Commit { indexes: vec![Index(7)] });
    watch.settled(2, Some(&OK));
    // The same index with another request id is another entry: the queue has begun anew.
    assert_eq!(message(&mut watch, 3, connection, frame(7, "b")), Some(7));
    assert_eq!(watch.totals().repeated, 2);
}

#[test]
fn leaving_confirms_what_was_decided_and_hands_back_the_rest() {
    let mut watch = watch(PLAIN);
    let connection = open(&mut watch);
    for index in 1..=3 {
        assert_eq!(message(&mut watch, 1, connection, frame(index, "a")), Some(index));
    }
    watch.decide(1, Decision::Commit);
    watch.leave(10);
    watch.message(10, connection, frame(4, "a"));
    let Todo::Settle(request) = next(&mut watch, 10) else { panic!("nothing more is taken") };
    assert_eq!(operation(&request), Operation::Commit { indexes: vec![Index(1)] });
    watch.settled(10, Some(&OK));
    let Todo::Settle(request) = next(&mut watch, 10) else { panic!() };
    assert_eq!(operation(&request), Operation::Reject { indexes: vec![Index(2), Index(3)], delay_ms: None });
    assert_eq!(&request.body[..], b"_code_=Shutdown");
    watch.settled(10, Some(&OK));
    assert!(matches!(next(&mut watch, 10), Todo::Close(closed) if closed == connection));
    assert!(matches!(next(&mut watch, 10), Todo::Over(End::Left)));
    assert_eq!((watch.totals().committed, watch.totals().returned, watch.unsettled()), (1, 2, 0));
}

#[test]
fn leaving_does_not_wait_for_ever() {
    let mut watch = watch(PLAIN);
    let connection = open(&mut watch);
    assert_eq!(message(&mut watch, 1, connection, frame(1, "a")), Some(1));
    watch.leave(10);
    let mut now_ms = 10;
    let end = loop {
        match next(&mut watch, now_ms) {
            Todo::Settle(_) => watch.settled(now_ms, None),
            Todo::Wait(until_ms) => now_ms = until_ms,
            Todo::Close(_) => {}
            Todo::Over(end) => break end,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((end, watch.unsettled()), (End::Left, 1));
    assert!(now_ms <= 10_000, "{now_ms}");
}

#[test]
fn silence_is_found_out_and_waits_grow() {
    let mut watch = watch(PLAIN);
    open(&mut watch);
    let (mut now_ms, mut pings, mut attempts) = (0, 0, Vec::new());
    while attempts.len() < 8 {
        match next(&mut watch, now_ms) {
            Todo::Ping(_) => pings += 1,
            Todo::Close(_) => {}
            Todo::Connect(attempt) => {
                attempts.push(now_ms);
                watch.lost(now_ms, attempt.number, None, "refused");
            }
            Todo::Wait(until_ms) => now_ms = until_ms,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pings, 2, "pinged at 10 and 20 seconds, given up at 30");
    assert!((30_000..31_000).contains(&attempts[0]), "{attempts:?}");
    assert!(attempts[7] - attempts[6] > attempts[1] - attempts[0], "{attempts:?}");
}

#[test]
fn a_silence_that_nobody_listened_to_is_not_held_against_the_connection() {
    let mut idle = watch(PLAIN);
    open(&mut idle);
    let Todo::Wait(until_ms) = next(&mut idle, 0) else { panic!() };
    // The machine slept for an hour.
    assert!(matches!(next(&mut idle, until_ms + 3_600_000), Todo::Ping(_)), "it is asked first");

    let mut pinged = watch(PLAIN);
    open(&mut pinged);
    let Todo::Wait(until_ms) = next(&mut pinged, 0) else { panic!() };
    assert!(matches!(next(&mut pinged, until_ms), Todo::Ping(_)));
    assert!(matches!(next(&mut pinged, until_ms), Todo::Wait(_)));
    assert!(matches!(next(&mut pinged, until_ms + 3_600_000), Todo::Close(_)), "the answer is owed for an hour");
}

#[test]
fn what_cannot_pass_ends_the_watch() {
    let answer = |status| HttpResponse { status, body: Bytes::from_static(b"why"), ..OK };
    let end = |watch: &mut Subscription| match next(watch, 1) {
        Todo::Over(end) => end,
        other => panic!("{other:?}"),
    };
    // Before it has begun, everything is final.
    for status in [401, 400, 404, 503] {
        let mut watch = watch(PLAIN);
        let connection = connect(&mut watch);
        watch.refused(0, connection, &answer(status));
        assert!(matches!(end(&mut watch), End::Failed(failure) if failure.status == status));
    }
    let mut first = watch(PLAIN);
    let connection = connect(&mut first);
    first.lost(0, connection, None, "no route");
    assert_eq!(end(&mut first), End::Unreachable("no route".into()));
    // Later only what will not change is.
    let mut later = watch(PLAIN);
    let connection = open(&mut later);
    later.lost(1, connection, Some(1006), "cut");
    for status in [503, 410] {
        let Todo::Wait(until_ms) = next(&mut later, 1) else { panic!("503 passes") };
        let Todo::Connect(attempt) = next(&mut later, until_ms) else { panic!() };
        later.refused(until_ms, attempt.number, &answer(status));
    }
    assert_eq!(end(&mut later), End::Ended);
    let mut other = watch(PLAIN);
    let connection = open(&mut other);
    other.lost(1, connection, Some(4001), "the same group and user connected again");
    assert_eq!(end(&mut other), End::TakenOver);
}

#[test]
fn a_new_group_that_began_with_the_newest_resumes_where_it_began() {
    let options = WatchOptions { start: Start::Newest, ..options(5) };
    let mut watch = Subscription::new(endpoint(), options, PLAIN, Some(Start::At(Index(11))), 1);
    let Todo::Connect(attempt) = next(&mut watch, 0) else { panic!() };
    assert!(attempt.request.target.contains("_index_=-1"));
    watch.opened(0, attempt.number, None);
    watch.lost(0, attempt.number, None, "cut");
    let Todo::Wait(until_ms) = next(&mut watch, 0) else { panic!() };
    let Todo::Connect(attempt) = next(&mut watch, until_ms) else { panic!() };
    assert!(attempt.request.target.contains("_index_=11"), "{}", attempt.request.target);
}

#[test]
fn news_of_old_connections_count_for_nothing() {
    let mut watch = watch(PLAIN);
    let old = open(&mut watch);
    watch.lost(1, old, None, "cut");
    let Todo::Wait(until_ms) = next(&mut watch, 1) else { panic!() };
    let Todo::Connect(attempt) = next(&mut watch, until_ms) else { panic!() };
    watch.opened(until_ms, attempt.number, None);
    watch.lost(until_ms, old, Some(4001), "taken over");
    assert_eq!(message(&mut watch, until_ms, old, frame(1, "a")), None);
    assert!(watch.is_open());
    assert_eq!(message(&mut watch, until_ms, attempt.number, frame(1, "a")), Some(1));
}

#[test]
fn decisions_travel_on_the_socket_where_the_service_speaks_our_protocol() {
    let mut watch = watch(SESSION);
    let Todo::Connect(attempt) = next(&mut watch, 0) else { panic!() };
    assert_eq!(attempt.protocols, ["edgequeue.v1", "edgequeue.plain"]);
    assert!(attempt.request.target.contains("_window_=5"), "{}", attempt.request.target);
    watch.opened(0, attempt.number, Some(SUBPROTOCOL));
    assert!(matches!(watch.next(0), Todo::Turned(WatchPhase::Open { is_session: true })));
    assert_eq!(message(&mut watch, 1, attempt.number, pushed(3)), Some(3));
    watch.decide(3, Decision::Commit);
    let Todo::Send(sent) = next(&mut watch, 1) else { panic!("no request by HTTP") };
    let [(id, ClientCommand::Commit(indexes))] = &asked(sent)[..] else { panic!() };
    assert_eq!(indexes, &[Index(3)]);
    watch.message(2, attempt.number, answer(*id, 0, ""));
    assert!(matches!(watch.next(2), Todo::Confirmed(indexes) if indexes == [3]));
    assert_eq!((watch.totals().committed, watch.unsettled()), (1, 0));
}

#[test]
fn a_decision_that_was_under_way_on_a_lost_socket_goes_by_http() {
    let mut watch = watch(SESSION);
    let connection = open(&mut watch);
    assert_eq!(message(&mut watch, 1, connection, pushed(3)), Some(3));
    watch.decide(3, Decision::Commit);
    assert!(matches!(next(&mut watch, 1), Todo::Send(_)));
    watch.lost(2, connection, None, "cut");
    let Todo::Wait(until_ms) = next(&mut watch, 2) else { panic!("not at once") };
    // The next connection and the repeated commit are due at about the same time.
    let mut todos = [next(&mut watch, until_ms + 300), next(&mut watch, until_ms + 300)];
    todos.sort_by_key(|todo| matches!(todo, Todo::Connect(_)));
    let [Todo::Settle(request), Todo::Connect(_)] = todos else { panic!("{todos:?}") };
    assert_eq!(operation(&request), Operation::Commit { indexes: vec![Index(3)] });
}

#[test]
fn a_service_that_takes_no_offer_is_spoken_to_plainly() {
    let mut watch = watch(SESSION);
    let connection = connect(&mut watch);
    watch.opened(0, connection, None);
    assert_eq!(message(&mut watch, 1, connection, frame(3, "a")), Some(3));
    watch.decide(3, Decision::Commit);
    assert!(matches!(next(&mut watch, 1), Todo::Settle(_)));
}

#[test]
fn a_socket_that_does_not_keep_to_the_protocol_is_given_up() {
    let mut watch = watch(SESSION);
    let connection = open(&mut watch);
    watch.message(1, connection, Bytes::from_static(b"\xff"));
    assert!(matches!(next(&mut watch, 1), Todo::Close(closed) if closed == connection));
    let Todo::Wait(until_ms) = next(&mut watch, 1) else { panic!() };
    assert!(matches!(next(&mut watch, until_ms), Todo::Connect(_)));
}

#[test]
fn a_page_asks_for_its_window_first_and_learns_why_it_is_refused() {
    let mut watch = watch(WatchTransport::PageSocket);
    let Todo::Connect(attempt) = next(&mut watch, 0) else { panic!() };
    assert!(attempt.request.target.contains("_window_=0"), "{}", attempt.request.target);
    watch.opened(0, attempt.number, Some(SUBPROTOCOL));
    assert!(!watch.is_open());
    let Todo::Send(sent) = next(&mut watch, 0) else { panic!() };
    assert_eq!(asked(sent), [(1, ClientCommand::Window(5))]);
    watch.message(1, attempt.number, answer(1, 400, "too many groups"));
    assert!(matches!(next(&mut watch, 1), Todo::Close(closed) if closed == attempt.number));
    let Todo::Over(End::Failed(failure)) = next(&mut watch, 1) else { panic!() };
    assert_eq!((failure.kind, failure.text.as_str()), (FailureKind::Bad, "too many groups"));
}

#[test]
fn a_window_is_changed_on_the_socket_or_with_the_next_one() {
    let mut watch = watch(SESSION);
    let connection = open(&mut watch);
    let resize = |watch: &mut Subscription, window, status| {
        watch.resize(window);
        let Todo::Send(sent) = next(watch, 1) else { panic!() };
        let [(id, ClientCommand::Window(sent))] = asked(sent)[..] else { panic!() };
        assert_eq!(sent, window);
        watch.message(1, connection, answer(id, status, "no"));
        next(watch, 1)
    };
    assert!(matches!(resize(&mut watch, 8, 0), Todo::Resized(Ok(()))));
    assert!(matches!(resize(&mut watch, 9_999, 400), Todo::Resized(Err(_))));
    watch.lost(2, connection, None, "cut");
    let Todo::Wait(until_ms) = next(&mut watch, 2) else { panic!() };
    let Todo::Connect(attempt) = next(&mut watch, until_ms) else { panic!() };
    assert!(attempt.request.target.contains("_window_=8"), "not the refused one: {}", attempt.request.target);
    watch.lost(until_ms, attempt.number, None, "refused");
    watch.set_full(true);
    watch.resize(6);
    watch.set_full(false);
    let Todo::Wait(until_ms) = next(&mut watch, until_ms) else { panic!() };
    let Todo::Connect(attempt) = next(&mut watch, until_ms) else { panic!() };
    assert!(attempt.request.target.contains("_window_=6"), "{}", attempt.request.target);
    watch.opened(until_ms, attempt.number, Some(SUBPROTOCOL));
    assert!(matches!(next(&mut watch, until_ms), Todo::Resized(Ok(()))));
}

#[test]
fn an_endless_answer_is_cut_into_entries() {
    let mut watch = watch(WatchTransport::Stream);
    let connection = open(&mut watch);
    let entry = frame(4, "a");
    let mut bytes = (entry.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(&entry);
    watch.piece(1, connection, &bytes[..7]);
    assert!(matches!(next(&mut watch, 1), Todo::Wait(u64::MAX)), "an endless answer needs no pings");
    watch.piece(1, connection, &bytes[7..]);
    assert!(matches!(next(&mut watch, 1), Todo::Deliver(frame) if frame.index == 4));
    watch.piece(2, connection, b"<html>");
    assert!(matches!(next(&mut watch, 2), Todo::Close(closed) if closed == connection));
}

#[test]
fn a_lost_connection_is_told_with_its_reason() {
    let mut watch = watch(PLAIN);
    let connection = open(&mut watch);
    assert!(matches!(watch.next(0), Todo::Turned(WatchPhase::Open { is_session: false })));
    watch.lost(1_000, connection, None, "cut");
    let Todo::Turned(WatchPhase::Reconnecting { why, next_try_ms, attempt: 1 }) = watch.next(1_000) else { panic!() };
    assert_eq!(why, "cut");
    assert!((1_125..=1_250).contains(&next_try_ms), "{next_try_ms}");
}
