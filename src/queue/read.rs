//! Gets, waiting or not, and counts: plain reads that ignore groups.

use super::effect::{Delivery, Reply};
use super::entry::{Entry, Filter, Index, Priority, TAG_REQUEST_ID, TAG_TIME_PREFIX, Tags};
use super::event::{Get, Start, Ticket};
use super::refusal::{Refusal, StoreError};
use super::store::Store;
use super::stream::{Stream, Turn};
use super::{limits, request_id};
use alloc::{string::ToString, vec::Vec};

/// What a get found.
struct Found {
    entries: Vec<Entry>,
    /// It holds all entries that were asked for, or all bytes an answer may have.
    complete: bool,
}

/// Collects entries until there are enough, and gives up on filters that look at too many.
struct Collector<'a> {
    get: &'a Get,
    found: Found,
    bytes: usize,
    looked_at: usize,
}

impl Stream {
    /// Answers a get, or lets it wait.
    pub(super) fn get<S: Store>(&mut self, turn: &mut Turn<'_, S>, ticket: Ticket, get: Get) -> Result<(), StoreError> {
        let found = match lookup(turn.store, &get)? {
            Ok(found) => found,
            Err(refusal) => {
                turn.refuse(ticket, refusal);
                return Ok(());
            }
        };
        if found.complete || get.wait_ms == 0 || self.ended {
            return self.hand_out(turn, ticket, found, get.remove);
        }
        if self.waiters.len() >= limits::WAITERS_MAX {
            turn.refuse(
                ticket,
                Refusal::TooMany {
                    what: "waiting gets",
                    max: limits::WAITERS_MAX,
                    advice: "try again later or use a watch",
                },
            );
            return Ok(());
        }
        let deadline_ms = turn.now_ms.saturating_add(get.wait_ms);
        let mark = get.filter.marks().first().copied();
        self.waiters.park(ticket, get, deadline_ms, mark);
        Ok(())
    }

    /// Answers the waiting gets that a put satisfied, in order of arrival, and those whose time is up.
    pub(super) fn serve_waiters<S: Store>(&mut self, turn: &mut Turn<'_, S>) -> Result<(), StoreError> {
        let due = self.waiters.due(turn.now_ms);
        for place in self.waiters.take_ready().into_iter().chain(due) {
            // One that is both ready and due was answered already.
            let Some(waiter) = self.waiters.at(place) else { continue };
            let is_due = waiter.deadline_ms <= turn.now_ms;
            if turn.store.totals().length == 0 && !is_due {
                continue;
            }
            match lookup(turn.store, &waiter.get)? {
                Ok(found) if found.complete || is_due => self.answer_waiter(turn, place, found)?,
                Ok(_) => {}
                Err(refusal) => {
                    let waiter = self.waiters.remove(place);
                    turn.refuse(waiter.ticket, refusal);
                }
            }
        }
        Ok(())
    }

    /// Answers every waiting get with what there is: nothing more will come.
    pub(super) fn answer_all_waiters<S: Store>(&mut self, turn: &mut Turn<'_, S>) -> Result<(), StoreError> {
        for place in self.waiters.all() {
            let waiter = self.waiters.at(place).expect("it waits until it is answered");
            let found = lookup(turn.store, &waiter.get)?.unwrap_or(Found { entries: Vec::new(), complete: true });
            self.answer_waiter(turn, place, found)?;
        }
        Ok(())
    }

    fn answer_waiter<S: Store>(&mut self, turn: &mut Turn<'_, S>, place: u64, found: Found) -> Result<(), StoreError> {
        let waiter = self.waiters.remove(place);
        self.hand_out(turn, waiter.ticket, found, waiter.get.remove)
    }

    fn hand_out<S: Store>(
        &mut self,
        turn: &mut Turn<'_, S>,
        ticket: Ticket,
        found: Found,
        remove: bool,
    ) -> Result<(), StoreError> {
        if remove {
            for entry in &found.entries {
                self.remove_everywhere(turn, entry.index)?;
            }
        }
        let deliver = |entry| Delivery { entry, gained: Tags::new(), index_only: false, attempt: 0 };
        turn.reply(ticket, Reply::Entries(found.entries.into_iter().map(deliver).collect()));
        Ok(())
    }

    /// Answers with the number of entries that match.
    pub(super) fn count<S: Store>(
        &self,
        turn: &mut Turn<'_, S>,
        ticket: Ticket,
        priority: Option<Priority>,
        filter: &Filter,
    ) -> Result<(), StoreError> {
        let wanted = |(live, _): &(Priority, u64)| priority.is_none_or(|priority| priority == *live);
        let priorities: Vec<(Priority, u64)> = turn.store.priorities().into_iter().filter(wanted).collect();
        if filter.is_any() {
            turn.reply(ticket, Reply::Count(priorities.iter().map(|(_, length)| length).sum()));
            return Ok(());
        }
        let get =
            Get { start: Start::At(Index(0)), filter: filter.clone(), count: u64::MAX, remove: false, wait_ms: 0 };
        let mut collector = Collector::new(&get);
        let marks = filter.marks();
        let mut count = 0;
        let made =
            made_here(turn.store, filter)?.filter(|entry| priority.is_none_or(|priority| priority == entry.priority));
        for (priority, _) in priorities {
            let mut at = Index(0);
            while let Some(entry) = turn.store.next_marked(priority, at, &marks)? {
                at = entry.index.next();
                let known = made.as_ref().is_some_and(|made| made.index == entry.index);
                count += u64::from(!known && filter.matches(&entry));
                if let Err(refusal) = collector.look() {
                    turn.refuse(ticket, refusal);
                    return Ok(());
                }
            }
        }
        turn.reply(ticket, Reply::Count(count + u64::from(made.is_some())));
        Ok(())
    }
}

impl<'a> Collector<'a> {
    fn new(get: &'a Get) -> Self {
        Self { get, found: Found { entries: Vec::new(), complete: false }, bytes: 0, looked_at: 0 }
    }

    /// Counts an entry whose tags are looked at.
    fn look(&mut self) -> Result<(), Refusal> {
        self.looked_at += 1;
        if self.looked_at > limits::SCAN_ENTRIES_MAX {
            return Err(too_broad());
        }
        Ok(())
    }

    /// Adds an entry that matches; false when no more are wanted.
    fn add(&mut self, entry: Entry) -> bool {
        self.bytes += entry.frame.len();
        if self.bytes > limits::GET_BYTES_MAX && !self.found.entries.is_empty() {
            self.found.complete = true;
            return false;
        }
        self.found.entries.push(entry);
        self.found.complete = self.found.entries.len() as u64 >= self.get.count;
        !self.found.complete
    }
}

fn too_broad() -> Refusal {
    Refusal::Bad(alloc::format!(
        "the tags given match or may match more than {} entries; add a tag that fewer entries carry, or _index_",
        limits::SCAN_ENTRIES_MAX
    ))
}

/// Finds what a get asks for, in index order.
fn lookup<S: Store>(store: &mut S, get: &Get) -> Result<Result<Found, Refusal>, StoreError> {
    if let Filter(tags) = &get.filter
        && !tags.is_empty()
        && tags.keys().all(|key| key.starts_with(TAG_TIME_PREFIX))
    {
        let text = "a time stamp alone is not a filter: every entry has its own; add another tag, or read by _index_";
        return Ok(Err(Refusal::Bad(text.to_string())));
    }
    let mut collector = Collector::new(get);
    match get.start {
        Start::At(start) => {
            let made = made_here(store, &get.filter)?.filter(|entry| entry.index >= start);
            if let (1, Some(entry)) = (get.count, made.clone()) {
                collector.add(entry);
                return Ok(Ok(collector.found));
            }
            collect(store, &mut collector, start, made)
        }
        Start::Newest => collect_newest(store, &mut collector),
    }
    .map(|outcome| outcome.map(|()| collector.found))
}

/// The entry a filter asks for by a request id that was made here: the id says where it is.
pub(super) fn made_here<S: Store>(store: &mut S, filter: &Filter) -> Result<Option<Entry>, StoreError> {
    match filter.0.get(TAG_REQUEST_ID).and_then(|id| request_id::index(id)) {
        Some(index) => Ok(store.find(index)?.filter(|entry| filter.matches(entry))),
        None => Ok(None),
    }
}

/// Collects entries from `start` on, merging the priorities by index. `made` is an entry that marks do not lead to.
fn collect<S: Store>(
    store: &mut S,
    collector: &mut Collector<'_>,
    start: Index,
    made: Option<Entry>,
) -> Result<Result<(), Refusal>, StoreError> {
    let filter = &collector.get.filter;
    let marks = filter.marks();
    let mut made = made;
    let mut heads = Vec::new();
    for (priority, _) in store.priorities() {
        heads.extend(store.next_marked(priority, start, &marks)?);
    }
    loop {
        let lowest = heads.iter().enumerate().min_by_key(|(_, entry)| entry.index).map(|(at, _)| at);
        let Some(at) = lowest else { break };
        let entry = heads.swap_remove(at);
        heads.extend(store.next_marked(entry.priority, entry.index.next(), &marks)?);
        if let Some(first) = made.take_if(|made| made.index < entry.index)
            && !collector.add(first)
        {
            return Ok(Ok(()));
        }
        made.take_if(|made| made.index == entry.index);
        if !filter.is_any()
            && let Err(refusal) = collector.look()
        {
            return Ok(Err(refusal));
        }
        if filter.matches(&entry) && !collector.add(entry) {
            return Ok(Ok(()));
        }
    }
    if let Some(last) = made {
        collector.add(last);
    }
    Ok(Ok(()))
}

/// Collects the last entries that match, in index order.
fn collect_newest<S: Store>(store: &mut S, collector: &mut Collector<'_>) -> Result<Result<(), Refusal>, StoreError> {
    let filter = &collector.get.filter;
    let mut tails = Vec::new();
    for (priority, _) in store.priorities() {
        tails.extend(store.previous(priority, Index(u64::MAX))?);
    }
    loop {
        let highest = tails.iter().enumerate().max_by_key(|(_, entry)| entry.index).map(|(at, _)| at);
        let Some(at) = highest else { break };
        let entry = tails.swap_remove(at);
        tails.extend(store.previous(entry.priority, Index(entry.index.0.saturating_sub(1)))?);
        if !filter.is_any()
            && let Err(refusal) = collector.look()
        {
            return Ok(Err(refusal));
        }
        if filter.matches(&entry) && !collector.add(entry) {
            break;
        }
    }
    collector.found.entries.reverse();
    Ok(Ok(()))
}
