//! The oracle: a second, naive queue. Where the machine may choose (which watcher gets an entry, how much fits one
//! turn) the oracle accepts every legal choice and follows the one it sees; everything else it predicts.
//!
//! Where a crash makes something unknowable, the oracle keeps `Sure::Maybe` or a span of time.

mod check;
mod connections;
mod deliver;
mod events;
mod model;
mod reads;
mod settle;
mod timers;

pub use model::SideModel;

use edgequeue::queue::config::Settings;
use edgequeue::queue::effect::{CloseReason, Effect, Reply};
use edgequeue::queue::entry::{Entry, Index, Tags};
use edgequeue::queue::event::{ConsumerId, Event, Ticket, WatcherId};
use edgequeue::queue::store::{Side, Totals};
use std::collections::{BTreeMap, BTreeSet};

pub type Verdict<T = ()> = Result<T, String>;

/// Fails with a formatted violation unless the condition holds.
macro_rules! demand {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}
pub(crate) use demand;

/// One turn as seen from outside.
pub struct Turn<'a> {
    pub now: u64,
    pub side: Side,
    pub event: &'a Event,
    pub effects: &'a [Effect],
    /// Sums of main and rear after the turn.
    pub totals: [Totals; 2],
    /// The live entry with an index after the turn; used only where the machine had a choice.
    pub peek: &'a dyn Fn(Side, u64) -> Option<Entry>,
    /// The consumers that are known after the turn, if they were asked for.
    pub known: Option<&'a Known>,
}

/// The consumers the machine knows, and the commits of their groups: a group that was forgotten begins again at 0.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub consumers: BTreeSet<(Side, ConsumerId)>,
    pub delivered: BTreeMap<(Side, String), u64>,
}

/// A moment of a turn.
#[derive(Clone, Copy, PartialEq)]
enum When {
    BeforeTheEvent,
    AfterTheEvent,
    AfterDelivery,
}

/// One way in which a turn may have gone where it cannot be seen directly.
#[derive(Clone)]
pub struct Choice {
    /// Consumers that were forgotten.
    forgotten: Vec<(Side, ConsumerId)>,
    /// One more that was forgotten, unless it had left something, and that the event brought back.
    back: Option<(Side, ConsumerId)>,
    /// The moment at which they were forgotten: a side that gets dead letters delivers before it has its own turn.
    when: When,
    /// Whether old entries in disorder that are gone went because of their age.
    expire: bool,
}

impl Turn<'_> {
    pub fn reply(&self, ticket: Ticket) -> Option<&Reply> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Reply(answered, reply) if *answered == ticket => Some(reply),
            _ => None,
        })
    }

    pub fn must_reply(&self, ticket: Ticket) -> Verdict<&Reply> {
        self.reply(ticket).ok_or_else(|| format!("no reply to {ticket:?}"))
    }

    pub fn closes(&self, watcher: WatcherId, reason: CloseReason) -> bool {
        self.effects.contains(&Effect::Close(watcher, reason))
    }

    pub fn attached(&self, ticket: Ticket) -> bool {
        self.reply(ticket) == Some(&Reply::Attached)
    }

    pub fn again(&self) -> bool {
        self.effects.contains(&Effect::Again)
    }

    pub fn is_tick(&self) -> bool {
        matches!(self.event, Event::Tick | Event::Configure(..))
    }

    /// The sides that settle down in this turn.
    pub fn sides(&self) -> &'static [Side] {
        match (self.event, self.side) {
            (Event::Resume(..), _) => &[],
            (Event::Tick | Event::Configure(..) | Event::Heartbeats(_), _) => &[Side::Main, Side::Rear],
            (_, Side::Main) => &[Side::Main],
            (_, Side::Rear) => &[Side::Rear],
        }
    }
}

/// Both sides, and what one turn must still show.
#[derive(Clone)]
pub struct Oracle {
    pub settings: Settings,
    pub main: SideModel,
    pub rear: SideModel,
    /// The machine has more to do, so nothing has to be complete yet.
    pub again: bool,
    /// The time of the last turn.
    now: u64,
    turn: Owed,
}

/// What the effects of the current turn must contain.
#[derive(Clone, Default)]
struct Owed {
    replies: BTreeSet<Ticket>,
    closes: BTreeMap<WatcherId, CloseReason>,
    /// Dead letters on their way to the rear: the entry and the tags of its copy.
    dying: Vec<(Entry, Tags)>,
}

impl Oracle {
    pub fn new(settings: Settings) -> Self {
        let side = |side| SideModel::new(side);
        Self { settings, main: side(Side::Main), rear: side(Side::Rear), again: false, now: 0, turn: Owed::default() }
    }

    pub fn side(&self, side: Side) -> &SideModel {
        match side {
            Side::Main => &self.main,
            Side::Rear => &self.rear,
        }
    }

    pub fn side_mut(&mut self, side: Side) -> &mut SideModel {
        match side {
            Side::Main => &mut self.main,
            Side::Rear => &mut self.rear,
        }
    }

    /// Whether a turn shows an entry of a side.
    pub fn shows(&self, turn: &Turn<'_>, side: Side, index: u64) -> bool {
        turn.effects.iter().any(|effect| match effect {
            Effect::Reply(_, Reply::Entries(found)) => found.iter().any(|delivery| delivery.entry.index.0 == index),
            Effect::Push(id, delivery) => delivery.entry.index.0 == index && self.watches(turn, side, *id),
            _ => false,
        })
    }

    /// Whether a connection watches a side, or begins to in this turn.
    fn watches(&self, turn: &Turn<'_>, side: Side, id: WatcherId) -> bool {
        let begins = matches!(turn.event, Event::Attach(_, new, _) if *new == id) && turn.side == side;
        begins || self.side(side).watcher(id).is_some()
    }

    /// Follows one turn, or says what is wrong with it.
    pub fn accept(&mut self, turn: &Turn<'_>) -> Verdict {
        // Of forgotten consumers it is known that they were forgotten, but not whether before or after the event; of
        // old entries in disorder (the clock went backward) that they are gone, but not why.
        let fading = self.fading(turn.sides(), turn.now);
        let attached = match turn.event {
            Event::Attach(ticket, _, watch) if watch.window > 0 => {
                Some((turn.side, &watch.consumer)).filter(|_| turn.attached(*ticket))
            }
            _ => None,
        };
        let gone = |id: &&(Side, ConsumerId)| turn.known.is_some_and(|known| !known.consumers.contains(*id));
        let forgotten: Vec<_> = fading.iter().filter(gone).cloned().collect();
        let back = fading.iter().find(|id| attached == Some((id.0, &id.1))).cloned();
        let mut choices = vec![Choice { forgotten, back: None, when: When::BeforeTheEvent, expire: true }];
        if back.as_ref().is_some_and(|id| self.is_exact(id)) {
            choices[0].back = back;
        } else if !fading.is_empty() {
            choices.push(Choice { when: When::AfterTheEvent, ..choices[0].clone() });
            choices.push(Choice { when: When::AfterDelivery, ..choices[0].clone() });
            choices.push(Choice { back, ..choices[0].clone() });
        }
        if self.expires_in_disorder(turn.sides(), turn.now) {
            let without: Vec<_> = choices.iter().map(|choice| Choice { expire: false, ..choice.clone() }).collect();
            choices.splice(0..0, without);
        }
        if let [choice] = choices.as_slice() {
            return self.follow(turn, choice);
        }
        let mut why = Ok(());
        for choice in choices {
            let mut trial = self.clone();
            match trial.follow(turn, &choice) {
                Ok(()) => {
                    *self = trial;
                    return Ok(());
                }
                other => why = why.and(other),
            }
        }
        why
    }

    fn follow(&mut self, turn: &Turn<'_>, choice: &Choice) -> Verdict {
        self.turn = Owed::default();
        [&mut self.main, &mut self.rear].into_iter().for_each(|side| side.revoked.clear());
        turn.sides().iter().for_each(|side| self.side_mut(*side).note_lost(turn.now));
        self.note_leftovers(turn.now);
        if turn.is_tick() {
            self.again = false;
        }
        if let Event::Configure(_, settings) = turn.event {
            self.settings = settings.clone();
        }
        self.expire(turn, choice.expire)?;
        if choice.when == When::BeforeTheEvent {
            self.forget_consumers(turn, choice)?;
        }
        self.happen(turn)?;
        if choice.when == When::AfterTheEvent {
            self.forget_consumers(turn, choice)?;
        }
        for side in turn.sides() {
            self.lapse(*side, turn)?;
        }
        let dead = !self.turn.dying.is_empty();
        self.dead_letter(turn)?;
        self.resolve_swept(turn, false);
        self.answer_waiters(turn)?;
        self.check_waiters(turn)?;
        self.walk(turn)?;
        if choice.when == When::AfterDelivery {
            self.forget_consumers(turn, choice)?;
        }
        self.resolve_swept(turn, true);
        self.check_totals(turn)?;
        self.check_known(turn)?;
        // `Again` is a promise: nothing has to be complete until the next tick.
        self.again |= turn.again();
        if !self.again && !matches!(turn.event, Event::Resume(..)) {
            let sides = if dead { &[Side::Main, Side::Rear] } else { turn.sides() };
            self.check_complete(sides, turn.now)?;
        }
        self.now = turn.now;
        self.note_leftovers(turn.now);
        Ok(())
    }

    /// Goes through the effects in order.
    fn walk(&mut self, turn: &Turn<'_>) -> Verdict {
        let (mut replied, mut revoked) = (BTreeSet::new(), Vec::new());
        for effect in turn.effects {
            match effect {
                Effect::Reply(ticket, _) => {
                    demand!(replied.insert(*ticket), "{ticket:?} was answered twice");
                    demand!(self.turn.replies.remove(ticket), "{ticket:?} was answered but nobody asked");
                }
                Effect::Push(watcher, delivery) => self.push(turn.now, *watcher, delivery)?,
                Effect::Close(watcher, reason) => self.close(turn.now, *watcher, *reason)?,
                Effect::Revoke(watcher, index) => revoked.push((*watcher, index.0)),
                Effect::Remember(_) | Effect::Again => {}
            }
        }
        let mut taken = [self.main.revoked.as_slice(), self.rear.revoked.as_slice()].concat();
        taken.sort_unstable();
        revoked.sort_unstable();
        demand!(revoked == taken, "revoked were {revoked:?} instead of {taken:?}");
        demand!(self.turn.replies.is_empty(), "no reply to {:?}", self.turn.replies);
        demand!(self.turn.closes.is_empty(), "not closed: {:?}", self.turn.closes);
        Ok(())
    }

    /// Appends the dead letters of this turn to the rear. The machine chooses their order.
    fn dead_letter(&mut self, turn: &Turn<'_>) -> Verdict {
        let mut dying = std::mem::take(&mut self.turn.dying);
        if !dying.is_empty() && turn.side == Side::Main {
            self.lapse(Side::Rear, turn)?;
        }
        let first = self.rear.next;
        for index in first..first + dying.len() as u64 {
            let seen = (turn.peek)(Side::Rear, index).or_else(|| seen_in_effects(turn.effects, &self.rear, index));
            let position = match &seen {
                Some(entry) => dying
                    .iter()
                    .position(|(dead, tags)| dead.data() == entry.data() && *tags == entry.tags())
                    .ok_or_else(|| format!("rear #{index} {:?} is none of the dead letters {dying:?}", entry.tags()))?,
                None => 0,
            };
            let (dead, tags) = dying.remove(position);
            let put_ms = seen.as_ref().map_or(turn.now, |entry| entry.put_ms);
            demand!(put_ms == turn.now || put_ms == dead.put_ms, "rear #{index} was put at {put_ms}");
            let copy = Entry::encode(Index(index), dead.priority, put_ms, tags, dead.data());
            if let Some(seen) = seen {
                demand!(copy == seen, "rear #{index} is {seen:?} instead of {copy:?}");
            }
            self.rear.append(copy);
        }
        Ok(())
    }

    /// The queue was dropped from memory and opened again; these connections are still there.
    pub fn lose_memory(&mut self, survivors: &BTreeSet<WatcherId>, now: u64) {
        self.again = false;
        for side in [&mut self.main, &mut self.rear] {
            side.lose_memory(survivors, self.now, now);
        }
    }
}

/// A copy of a rear entry that came and went in this turn.
fn seen_in_effects(effects: &[Effect], rear: &SideModel, index: u64) -> Option<Entry> {
    effects.iter().find_map(|effect| match effect {
        Effect::Push(watcher, delivery) if delivery.entry.index.0 == index && rear.watcher(*watcher).is_some() => {
            Some(delivery.entry.clone())
        }
        Effect::Reply(ticket, Reply::Entries(found)) if rear.waiters.iter().any(|waiter| waiter.ticket == *ticket) => {
            found.iter().map(|delivery| &delivery.entry).find(|entry| entry.index.0 == index).cloned()
        }
        _ => None,
    })
}
