//! Looks on while the broker takes turns: each is put to the oracle, and what may be seen of it is put down outside.

use super::disk::Faults;
use super::oracle::{Known, Oracle, Turn, Verdict, demand};
use super::outside::Outside;
use super::transcript::Transcript;
use edgequeue::broker::observer::{self, Observer};
use edgequeue::queue::effect::Effect;
use edgequeue::queue::entry::{Entry, Index};
use edgequeue::queue::event::{Event, WatcherId};
use edgequeue::queue::limits::FLUSH_BYTES_MAX;
use edgequeue::queue::store::{Side, Store, Stores};
use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

const SIDES: [Side; 2] = [Side::Main, Side::Rear];
/// The most requests of one flush.
const BATCH_MAX: usize = 1_000;

/// What is known of a queue, and what is wrong with it.
pub struct Judge {
    pub oracle: Oracle,
    /// As of the last flush.
    written: Rc<Oracle>,
    /// As of the last flush that is durable.
    durable: Rc<Oracle>,
    /// What sockets must remember, after a memory that was given up in peace.
    kept: Option<Rc<Oracle>>,
    /// Turns of this life were written.
    is_written: bool,
    /// The shortest silence that any settings so far allowed, in milliseconds: what is seen outside may follow from
    /// settings that were changed since.
    pub least_silence_ms: u64,
    /// The memory was lost to a failure of the storage, and no turn has been taken since.
    pub is_lost: bool,
    /// Sockets that are still to come back.
    returning: BTreeSet<WatcherId>,
    pub outside: Outside,
    pub transcript: Transcript,
    /// The first thing that went wrong.
    pub failure: Option<String>,
    pub turns: u64,
    pub flushes: u64,
    batch: Batch,
    /// What counts: inside one life of the machine time does not go backward.
    now: u64,
    faults: Faults,
    hits: u64,
}

/// What shares a flush.
#[derive(Default)]
struct Batch {
    requests: usize,
    puts: usize,
    bytes: usize,
}

/// A judge that looks on in every life.
#[derive(Clone)]
pub struct Onlooker(Rc<RefCell<Judge>>);

impl Onlooker {
    pub fn new(oracle: Oracle, faults: Faults) -> Self {
        let (written, oracle) = (Rc::new(oracle.clone()), oracle);
        let (outside, transcript) = (Outside::default(), Transcript::default());
        let judge = Judge {
            oracle,
            durable: written.clone(),
            kept: None,
            is_written: false,
            is_lost: false,
            least_silence_ms: u64::MAX,
            written,
            returning: BTreeSet::new(),
            outside,
            transcript,
            failure: None,
            turns: 0,
            flushes: 0,
            batch: Batch::default(),
            now: 0,
            faults,
            hits: 0,
        };
        Self(Rc::new(RefCell::new(judge)))
    }

    pub fn judge(&self) -> RefMut<'_, Judge> {
        self.0.borrow_mut()
    }
}

impl<S: Stores> Observer<S> for Onlooker {
    fn turn(&mut self, turn: observer::ObservedTurn<'_, S>) {
        let mut judge = self.judge();
        judge.turns += 1;
        judge.is_lost = false;
        judge.note_silence();
        judge.now = judge.now.max(turn.now_ms);
        let (now, side, event) = (judge.now, turn.side, turn.event.clone());
        judge.transcript.turn(now, side, &event, turn.effects);
        if judge.failure.is_none() {
            judge.failure =
                judge.follow(turn).map_err(|why| format!("{why}\n      in {side:?} at {now}: {event:?}")).err();
        }
        judge.note_silence();
    }

    fn flushed(&mut self) {
        let mut judge = self.judge();
        let verdict = judge.no_fault();
        judge.note(verdict);
        judge.flushes += 1;
        judge.is_written = true;
        judge.batch = Batch::default();
        judge.written = Rc::new(judge.oracle.clone());
        judge.outside.flushed();
    }

    fn lost(&mut self) {
        let mut judge = self.judge();
        judge.transcript.note(|| "        !! lost".into());
        judge.is_lost = true;
        let hits = judge.faults.hits();
        if hits == judge.hits {
            judge.note(Err("the storage is sound and the memory was lost".into()));
        }
        judge.hits = hits;
        judge.batch = Batch::default();
        judge.note_kept();
        judge.outside.lost();
    }
}

impl Judge {
    fn note_silence(&mut self) {
        let silence_ms = self.oracle.settings.max_silence_ms;
        if silence_ms != 0 {
            self.least_silence_ms = self.least_silence_ms.min(silence_ms);
        }
    }

    /// Keeps the first thing that is wrong.
    pub fn note(&mut self, verdict: Verdict) {
        self.failure = self.failure.take().or_else(|| verdict.err());
    }

    /// Everything that was written is durable.
    pub fn synced(&mut self) {
        self.durable = self.written.clone();
    }

    /// The memory is gone. `in_peace` says that nothing was under way, so that sockets remember all there is.
    pub fn forgotten(&mut self, survives: bool, in_peace: bool) {
        self.is_lost = false;
        if !survives {
            self.written = self.durable.clone();
        }
        self.durable = self.written.clone();
        self.hits = self.faults.hits();
        self.batch = Batch::default();
        self.note_kept();
        self.kept = self.kept.take().filter(|_| in_peace);
        self.outside.forgotten();
    }

    /// What sockets remember is as of the last flush, if there was one in this life.
    fn note_kept(&mut self) {
        if std::mem::take(&mut self.is_written) {
            self.kept = Some(self.written.clone());
        }
    }

    /// The queue is opened, and these sockets are there.
    pub fn opening(&mut self, sockets: BTreeSet<WatcherId>, now: u64) {
        self.transcript.note(|| format!("    {now} opened with {sockets:?}"));
        self.oracle = (*self.written).clone();
        self.oracle.lose_memory(&sockets, now);
        self.now = 0;
        self.returning = sockets;
    }

    /// The time of the machine.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// What is stored is what was written.
    pub fn check_listing(&self, side: Side, listing: &BTreeMap<u64, Entry>) -> Verdict {
        self.written.check_listing(side, listing)
    }

    fn no_fault(&self) -> Verdict {
        demand!(self.faults.hits() == self.hits, "a storage error was swallowed");
        Ok(())
    }

    fn follow<S: Stores>(&mut self, turn: observer::ObservedTurn<'_, S>) -> Verdict {
        self.no_fault()?;
        let observer::ObservedTurn { side, event, effects, queue, store, .. } = turn;
        self.check_return(side, &event)?;
        self.check_batch(&event)?;
        self.outside.turn(side, &event, effects, &self.oracle)?;
        let totals = SIDES.map(|side| store.side(side).totals());
        let known = (!self.oracle.fading(&SIDES, self.now).is_empty()).then(|| {
            let mut known = Known::default();
            for side in SIDES {
                let (consumers, groups) = queue.members(side);
                known.consumers.extend(consumers.into_iter().map(|consumer| (side, consumer.id)));
                known.delivered.extend(groups.into_iter().map(|group| ((side, group.id), group.delivered)));
            }
            known
        });
        let (stores, faults) = (RefCell::new(store), &self.faults);
        let peek = |side: Side, index: u64| {
            let find = || stores.borrow_mut().side(side).find(Index(index)).expect("nothing fails while looking");
            faults.paused(find)
        };
        let (now, known) = (self.now, known.as_ref());
        self.oracle.accept(&Turn { now, side, event: &event, effects, totals, peek: &peek, known })?;
        let resuming = matches!(event, Event::Resume(..));
        if !resuming && self.oracle.is_vague() {
            for side in SIDES {
                self.oracle.learn(side, &queue.members(side).0, now)?;
            }
        }
        let settled = event == Event::Tick && !effects.contains(&Effect::Again);
        if !resuming {
            self.oracle.check_wake(queue.wake(), now, settled)?;
        }
        for (_, _, id) in SIDES.into_iter().flat_map(|side| self.oracle.connections(side)) {
            self.oracle.check_attachment(id, queue.resume_state(id).as_ref(), true)?;
        }
        Ok(())
    }

    /// All sockets come back before anything else happens, each as what it was.
    fn check_return(&mut self, side: Side, event: &Event) -> Verdict {
        let Event::Resume(id, state) = event else {
            demand!(self.returning.is_empty(), "the sockets {:?} did not come back", self.returning);
            return Ok(());
        };
        demand!(self.returning.remove(id), "{id:?} comes back although there is no such socket");
        match &self.kept {
            Some(kept) => kept.check_attachment(*id, Some(&(side, state.clone())), false),
            None => Ok(()),
        }
    }

    fn check_batch(&mut self, event: &Event) -> Verdict {
        if event.ticket().is_none() {
            return Ok(());
        }
        let batch = &mut self.batch;
        batch.requests += 1;
        if let Event::Put(_, entries) = event {
            batch.puts += 1;
            batch.bytes += entries.iter().map(|entry| entry.data.len()).sum::<usize>();
        }
        demand!(batch.requests <= BATCH_MAX, "{} requests share a flush", batch.requests);
        demand!(batch.puts <= 1 || batch.bytes <= FLUSH_BYTES_MAX, "{} bytes share a flush", batch.bytes);
        Ok(())
    }
}
