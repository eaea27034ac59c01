//! What follows: the outputs of a broker, done as its contract says, and what a shell may rely on.

use super::{ALARM_AGAIN_MS, Calling, Connection, Host};
use crate::support::disk::Disk;
use bytes::Bytes;
use edgequeue::broker::{Broker, ConnectionId, Input, Output, RequestId, Wait, observer::Observer, resume};
use edgequeue::queue::refusal::StoreError;
use edgequeue::wire::Transport;

/// Outputs and waits in a row after which nothing seems to end.
const STEPS_MAX: usize = 100_000;

impl<D: Disk, O: Observer<D::Store> + Clone> Host<D, O> {
    /// Does the next output. False when there is none until something else happens.
    pub fn step(&mut self) -> bool {
        let now_ms = self.clock.now_ms();
        let Some(output) = self.broker.as_mut().and_then(|broker| broker.poll(now_ms)) else {
            if !self.unsynced {
                self.sync_alarm();
            }
            self.drained = true;
            return false;
        };
        self.output(output);
        true
    }

    /// Does all outputs that there are.
    pub fn drain(&mut self) {
        for _ in 0..STEPS_MAX {
            if !self.step() {
                return;
            }
        }
        panic!("{} says things without end", self.name);
    }

    /// Does everything that follows without time passing and without anybody from outside.
    pub fn settle(&mut self) {
        for _ in 0..STEPS_MAX {
            self.drain();
            if self.waiting.is_some() {
                self.waited();
            } else if self.alarm.asked {
                self.tell_alarm();
            } else if let Some(id) = self.unread().first().copied() {
                self.read_body(id);
            } else {
                return self.check_rest();
            }
        }
        panic!("{} never comes to rest", self.name);
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::Open => self.open(),
            Output::Flush { rows_max } => self.flush(rows_max),
            Output::Wait(wait) => {
                assert!(self.waiting.is_none(), "there is never more than one wait");
                assert!(!self.unsynced || wait == Wait::Durable, "what was written is not waited for");
                self.waiting = Some(wait);
            }
            Output::ReadBody(id, max) => {
                let asked = self.requests.get_mut(&id).expect("a body of an open request");
                assert!(asked.unread.is_some() && asked.read_max.is_none(), "a body is read once");
                asked.read_max = Some(max);
            }
            Output::Hold(id) => self.requests.get_mut(&id).expect("an open request is held").held = true,
            Output::Answer(id, _) => {
                self.answered(id);
                self.say(output);
            }
            Output::Accept { request, connection, transport } => {
                self.answered(request);
                let last = self.connections.last_key_value().map(|(id, _)| *id);
                assert!(last < Some(connection), "connection {} is not newer than {last:?}", connection.0);
                self.connections.insert(connection, Connection { transport, kept: Bytes::new(), heard_ms: None });
                self.say(output);
            }
            Output::Send(id, _) => {
                assert!(self.connections.contains_key(&id), "connection {} is closed and sent something", id.0);
                self.say(output);
            }
            Output::Close(id, ..) => {
                // Its client may have closed it at the same time.
                if self.connections.remove(&id).is_some() {
                    self.say(output);
                }
            }
            Output::Keep(id, bytes) => self.keep(id, bytes),
            Output::AskHeartbeats(ids) => {
                let heard = ids.into_iter().filter_map(|id| Some((id, self.connections.get(&id)?.heard_ms?)));
                let heard = heard.collect();
                self.answer(Input::Heartbeats(heard));
            }
            Output::AskAlarm => assert!(!std::mem::replace(&mut self.alarm.asked, true), "it has asked before"),
            Output::SetAlarm(at_ms) => {
                self.spent.alarms += 1;
                let set_ms = self.alarm.unsynced_ms.or(self.alarm.at_ms);
                let again = std::mem::take(&mut self.alarm.again);
                self.spent.alarms_late += u64::from(!again && set_ms.is_some_and(|set_ms| set_ms <= at_ms));
                self.alarm.unsynced_ms = Some(at_ms);
            }
            Output::AlarmDone(_) => {
                assert!(self.alarm.rings, "no alarm rings");
                self.say(output);
            }
            Output::SetTimer(at_ms) => self.timer_ms = at_ms,
            Output::Fetch(..) | Output::Read(..) | Output::Abort(_) => self.call_output(output),
            Output::Log(_) => self.say(output),
        }
    }

    /// One about a call to the outside.
    fn call_output(&mut self, output: Output) {
        match &output {
            Output::Fetch(id, _) => {
                assert!(self.calls.insert(*id, Calling::default()).is_none(), "two calls have one id");
            }
            Output::Read(id, _) => {
                let call = self.calls.get_mut(id).expect("an answer that has begun");
                assert!(call.begun && !std::mem::replace(&mut call.reading, true), "an answer is read once");
            }
            Output::Abort(id) => assert!(self.calls.remove(id).is_some(), "a call is given up that has ended"),
            output => unreachable!("{output:?} is not about a call"),
        }
        self.say(output);
    }

    fn answered(&mut self, id: RequestId) {
        let asked = self.requests.remove(&id);
        assert!(asked.is_some(), "request {} is answered twice, or its client is gone", id.0);
    }

    fn keep(&mut self, id: ConnectionId, bytes: Bytes) {
        assert!(bytes.len() <= resume::BYTES_MAX, "{} bytes cannot be kept", bytes.len());
        let connection = self.connections.get_mut(&id).expect("something is kept with an open socket");
        assert!(connection.transport != Transport::Stream, "nothing can be kept with an endless body");
        connection.kept = bytes;
    }

    fn open(&mut self) {
        let store = match self.faults.openings.checked_sub(1) {
            Some(left) => {
                self.faults.openings = left;
                Err(failure())
            }
            None => self.disk.open(),
        };
        let sockets = self.connections.iter().filter(|(_, connection)| connection.transport != Transport::Stream);
        let mut sockets: Vec<_> = sockets.map(|(id, connection)| (*id, connection.kept.clone())).collect();
        sockets.append(&mut self.lingering);
        (self.order)(&mut sockets);
        self.answer(Input::Opened { store, sockets });
    }

    fn flush(&mut self, rows_max: usize) {
        assert!(!self.unsynced, "a flush before the last one is durable");
        let broker = self.broker.as_mut().expect("it has just asked");
        let flushed = match self.faults.flushes.checked_sub(1) {
            Some(left) => {
                self.faults.flushes = left;
                Err(failure())
            }
            None => broker.flush(),
        };
        if let Ok(flushed) = &flushed
            && !flushed.is_empty()
        {
            assert!(flushed.rows_written <= rows_max as u64, "more rows were written than announced");
            let (_, store) = broker.memory().expect("a flush that succeeded keeps the memory");
            self.disk.written(store);
            self.unsynced = true;
            self.spent.flushes += 1;
            self.spent.rows.rows_written += flushed.rows_written;
            self.spent.rows.rows_deleted += flushed.rows_deleted;
        }
        self.answer(Input::Flushed(flushed));
    }

    /// Everything that was written is durable: what was held back is seen.
    pub(super) fn sync(&mut self) {
        self.disk.sync();
        self.unsynced = false;
        self.sync_alarm();
        for output in std::mem::take(&mut self.held_back) {
            self.say(output);
        }
    }

    fn sync_alarm(&mut self) {
        self.alarm.at_ms = self.alarm.unsynced_ms.take().or(self.alarm.at_ms);
    }

    /// Something can be seen outside, now or when it is durable.
    pub(super) fn say(&mut self, output: Output) {
        match output {
            output if self.unsynced => self.held_back.push(output),
            Output::AlarmDone(done) => {
                // The platform takes it for done when what was set before is durable.
                self.sync_alarm();
                self.alarm.rings = false;
                if done.is_err() {
                    self.alarm_again();
                }
            }
            output => self.seen.push(output),
        }
    }

    pub(super) fn alarm_again(&mut self) {
        let again_ms = self.clock.now_ms() + ALARM_AGAIN_MS;
        self.alarm.at_ms = Some(self.alarm.at_ms.map_or(again_ms, |at_ms| at_ms.min(again_ms)));
        self.alarm.again = true;
    }

    /// Nothing happens any more until time passes or somebody comes: nobody may be forgotten.
    pub fn check_rest(&mut self) {
        assert!(!self.unsynced && self.held_back.is_empty(), "something is held back for ever");
        assert!(!self.alarm.rings, "the alarm is never done");
        for (id, asked) in &self.requests {
            assert!(asked.held || !self.calls.is_empty(), "request {} waits for nothing", id.0);
        }
        let Some((queue, _)) = self.broker.as_mut().and_then(Broker::memory) else { return };
        let wake = queue.wake();
        for (what, wanted, set) in [("alarm", wake.alarm_ms, self.alarm.at_ms), ("timer", wake.timer_ms, self.timer_ms)]
        {
            let early = wanted.is_none_or(|wanted| set.is_some_and(|set| set <= wanted));
            assert!(early, "{}: the {what} is set to {set:?} and wanted at {wanted:?}", self.name);
        }
    }
}

fn failure() -> StoreError {
    StoreError::Io("it was told to fail".into())
}
