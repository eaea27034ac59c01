//! One side of a queue: its lanes, sums and records.

use super::Flushed;
use super::holes::Hole;
use super::lane::{Cache, Desk, LaneLog, Sums};
use super::ledger::{self, HoleRecord, LaneSums, Ledger};
use super::limits::{FOLDS_PER_FLUSH, FRAME_BYTES_MAX, HOLES_WEIGHT_MAX, ROW_BYTES_MAX};
use super::rows::{LaneKey, Rows};
use super::segment::Snapshot;
use crate::queue::effect::{Record, Write};
use crate::queue::entry::{Entry, Index, Lane, Mark};
use crate::queue::refusal::StoreError;
use crate::queue::store::{Side, Totals};
use alloc::{collections::BTreeMap, format, string::String, vec::Vec};
use bytes::Bytes;
use prost::Message;

/// One side, without its rows: they are handed in, as both sides share them.
pub(super) struct Log {
    side: Side,
    /// Number of the last flush that wrote entries or the ledger.
    seq: u64,
    next_index: Index,
    live: Sums,
    lanes: BTreeMap<Lane, LaneLog>,
    cache: Cache,
    groups: Option<Bytes>,
    /// Records with a row of their own that wait for a flush.
    records: BTreeMap<Record, Bytes>,
    appended: bool,
    ledger_dirty: bool,
}

impl Log {
    /// Reads the ledger and the head of each lane's last segment; the newest of them knows the sums.
    pub fn open(side: Side, rows: &mut impl Rows, cache_bytes_max: usize) -> Result<Self, StoreError> {
        let ledger = match rows.state(ledger::state_id(side, Record::Groups))? {
            Some(row) => ledger::decode(row)?,
            None => Ledger { next_index: 1, ..Ledger::default() },
        };
        let mut log = Self {
            side,
            seq: ledger.seq,
            next_index: Index(ledger.next_index),
            live: Sums { length: ledger.length, bytes: ledger.bytes },
            lanes: BTreeMap::new(),
            cache: Cache { bytes_max: cache_bytes_max, ..Cache::default() },
            groups: ledger.groups,
            records: BTreeMap::new(),
            appended: false,
            ledger_dirty: false,
        };
        log.open_lanes(rows, ledger.seq, &ledger.lanes)?;
        log.open_holes(rows, ledger.holes)?;
        Ok(log)
    }

    fn open_lanes(&mut self, rows: &mut impl Rows, ledger_seq: u64, sums: &[LaneSums]) -> Result<(), StoreError> {
        let mut above = None;
        let mut all = Sums::default();
        while let Some(lane) = rows.lane_above(self.side, above)? {
            above = Some(lane);
            let key = LaneKey { side: self.side, lane };
            let (tail, head) = rows.tail(key)?.ok_or_else(|| contradiction("a lane has no last segment"))?;
            let head = Snapshot::decode(head)?;
            if head.seq > self.seq {
                self.seq = head.seq;
                self.next_index = Index(head.next_index);
                self.live = Sums { length: head.length, bytes: head.bytes };
            }
            let live = if head.seq > ledger_seq {
                Sums { length: head.lane_length, bytes: head.lane_bytes }
            } else {
                let stored = sums.iter().find(|sums| sums.lane == lane.0);
                let stored = stored.ok_or_else(|| contradiction("the ledger does not know a lane"))?;
                Sums { length: stored.length, bytes: stored.bytes }
            };
            all.length = all.length.saturating_add(live.length);
            all.bytes = all.bytes.saturating_add(live.bytes);
            self.lanes.insert(lane, LaneLog::new(key, live, Some(tail)));
        }
        if self.seq >= 1 << 53 || self.next_index.0 >= 1 << 53 {
            return Err(contradiction("a number is larger than any that is given out"));
        }
        let next = self.lanes.values().filter_map(|lane| lane.tail).all(|tail| tail.last < self.next_index);
        if all == self.live && next { Ok(()) } else { Err(contradiction("the sums of the lanes are not the queue's")) }
    }

    /// A hole that was whole may not be so any more: entries were appended without writing the ledger. A tail knows how
    /// many it has; of another segment (there is at most one per lane) the row is read.
    fn open_holes(&mut self, rows: &mut impl Rows, holes: Vec<HoleRecord>) -> Result<(), StoreError> {
        for record in holes {
            let first = Index(record.first);
            let lane = self.lanes.get_mut(&Lane(record.lane));
            let lane = lane.ok_or_else(|| contradiction("entries are removed from a lane that does not exist"))?;
            let hole = Hole::decode(record.runs, record.bytes, false)?;
            let count = hole.count;
            lane.holes.insert(first, hole);
            let whole = match lane.tail {
                Some(tail) if tail.first == first => tail.count == count,
                _ if !record.whole => false,
                _ => {
                    let mut desk = Desk { rows, cache: &mut self.cache };
                    lane.read(&mut desk, first)?.len() as u64 == count
                }
            };
            if let Some(hole) = lane.holes.get_mut(&first) {
                hole.whole = whole;
            }
        }
        Ok(())
    }

    /// The sums.
    pub fn totals(&self) -> Totals {
        Totals { next_index: self.next_index, length: self.live.length, bytes: self.live.bytes }
    }

    /// Lanes with live entries, highest first.
    pub fn lanes(&self) -> Vec<(Lane, u64)> {
        let live = self.lanes.iter().rev().filter(|(_, lane)| lane.live.length > 0);
        live.map(|(lane, log)| (*lane, log.live.length)).collect()
    }

    /// See [`Store::next`](crate::queue::store::Store::next).
    pub fn next(&mut self, rows: &mut impl Rows, lane: Lane, from: Index) -> Result<Option<Entry>, StoreError> {
        self.ask(rows, lane, |lane, desk| lane.next(desk, from))
    }

    /// See [`Store::previous`](crate::queue::store::Store::previous).
    pub fn previous(&mut self, rows: &mut impl Rows, lane: Lane, upto: Index) -> Result<Option<Entry>, StoreError> {
        self.ask(rows, lane, |lane, desk| lane.previous(desk, upto))
    }

    /// See [`Store::next_marked`](crate::queue::store::Store::next_marked).
    pub fn next_marked(
        &mut self,
        rows: &mut impl Rows,
        lane: Lane,
        from: Index,
        marks: &[Mark],
    ) -> Result<Option<Entry>, StoreError> {
        self.ask(rows, lane, |lane, desk| lane.next_marked(desk, from, marks))
    }

    /// See [`Store::count`](crate::queue::store::Store::count).
    pub fn count(&mut self, rows: &mut impl Rows, lane: Lane, from: Index, below: Index) -> Result<u64, StoreError> {
        self.ask(rows, lane, |lane, desk| {
            Ok(lane.live_below(desk, below)?.saturating_sub(lane.live_below(desk, from)?))
        })
    }

    /// See [`Store::find`](crate::queue::store::Store::find).
    pub fn find(&mut self, rows: &mut impl Rows, index: Index) -> Result<Option<Entry>, StoreError> {
        let found = self.locate(rows, index)?;
        let entry = found.and_then(|(lane, first, place)| self.lanes.get(&lane)?.entry(first, place));
        self.evict();
        Ok(entry)
    }

    /// One of the queue's own records.
    pub fn load(&mut self, rows: &mut impl Rows, record: Record) -> Result<Option<Bytes>, StoreError> {
        match record {
            Record::Groups => Ok(self.groups.clone()),
            _ => match self.records.get(&record) {
                Some(value) => Ok(Some(value.clone())),
                None => rows.state(ledger::state_id(self.side, record)),
            },
        }
    }

    /// Applies a change in memory.
    pub fn apply(&mut self, rows: &mut impl Rows, write: Write) -> Result<(), StoreError> {
        match write {
            Write::Append(entry, marks) => self.append(rows, entry, &marks),
            Write::Remove(index) => self.remove(rows, index),
            Write::RemoveBelow(index) => self.remove_below(rows, index),
            Write::Save(Record::Groups, value) => {
                let value = Some(value);
                self.ledger_dirty |= self.groups != value;
                self.groups = value;
                Ok(())
            }
            Write::Save(record, value) => {
                self.records.insert(record, value);
                Ok(())
            }
        }
    }

    fn append(&mut self, rows: &mut impl Rows, entry: Entry, marks: &[Mark]) -> Result<(), StoreError> {
        if entry.index != self.next_index {
            let (got, want) = (entry.index.0, self.next_index.0);
            return Err(StoreError(format!("entry {got} cannot be appended: the next index is {want}")));
        }
        if entry.frame.len() > FRAME_BYTES_MAX {
            return Err(StoreError(format!("an entry of {} bytes does not fit into a row", entry.frame.len())));
        }
        self.next_index = entry.index.next();
        self.live.add(Sums { length: 1, bytes: entry.bytes() });
        self.appended = true;
        let key = LaneKey { side: self.side, lane: entry.lane };
        let lane = self.lanes.entry(entry.lane).or_insert_with(|| LaneLog::new(key, Sums::default(), None));
        lane.append(&mut Desk { rows, cache: &mut self.cache }, entry, marks)
    }

    fn remove(&mut self, rows: &mut impl Rows, index: Index) -> Result<(), StoreError> {
        let Some((lane, first, place)) = self.locate(rows, index)? else { return Ok(()) };
        let lane = self.lanes.get_mut(&lane).expect("located there");
        let removed = lane.remove(first, place)?;
        self.ledger_dirty |= removed.length > 0;
        self.live.take(removed)
    }

    fn remove_below(&mut self, rows: &mut impl Rows, index: Index) -> Result<(), StoreError> {
        for lane in self.lanes.values_mut() {
            let removed = lane.remove_below(&mut Desk { rows, cache: &mut self.cache }, index)?;
            self.ledger_dirty |= removed.length > 0;
            self.live.take(removed)?;
        }
        self.evict();
        Ok(())
    }

    /// Where an index is, removed or not: an index is in one lane only, so memory is asked for all lanes first.
    fn locate(&mut self, rows: &mut impl Rows, index: Index) -> Result<Option<(Lane, Index, usize)>, StoreError> {
        if index >= self.next_index {
            return Ok(None);
        }
        for (lane, log) in &self.lanes {
            if let Some((first, place)) = log.place_in_memory(index) {
                return Ok(Some((*lane, first, place)));
            }
        }
        let Self { lanes, cache, .. } = self;
        for (lane, log) in lanes {
            if let Some((first, place)) = log.place(&mut Desk { rows, cache }, index)? {
                return Ok(Some((*lane, first, place)));
            }
        }
        Ok(None)
    }

    /// Asks a lane; one that is empty has nothing of anything.
    fn ask<R: Rows, T: Default>(
        &mut self,
        rows: &mut R,
        lane: Lane,
        question: impl FnOnce(&mut LaneLog, &mut Desk<'_, R>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let Some(log) = self.lanes.get_mut(&lane) else { return Ok(T::default()) };
        let answer = question(log, &mut Desk { rows, cache: &mut self.cache })?;
        self.evict();
        Ok(answer)
    }

    /// The most rows a flush can write now; removals can delete any number.
    pub fn rows_to_write(&self) -> usize {
        if self.ledger_dirty {
            return usize::MAX;
        }
        self.records.len() + self.lanes.values().map(LaneLog::rows_to_write).sum::<usize>()
    }

    /// Writes what changed: each segment once, the ledger at most once.
    pub fn flush(&mut self, rows: &mut impl Rows) -> Result<Flushed, StoreError> {
        let mut flushed = Flushed::default();
        let with_ledger = core::mem::take(&mut self.ledger_dirty);
        if with_ledger {
            self.settle(rows)?;
        }
        if core::mem::take(&mut self.appended) || with_ledger {
            self.seq += 1;
            let snapshot = Snapshot {
                seq: self.seq,
                next_index: self.next_index.0,
                length: self.live.length,
                bytes: self.live.bytes,
                ..Snapshot::default()
            };
            for lane in self.lanes.values_mut() {
                let (written, deleted) = lane.write(rows, with_ledger, |segment, live| {
                    segment.encode(&Snapshot { lane_length: live.length, lane_bytes: live.bytes, ..snapshot })
                })?;
                flushed.rows_written += written;
                flushed.rows_deleted += deleted;
            }
        }
        if with_ledger {
            self.lanes.retain(|_, lane| lane.tail.is_some());
            let row = self.ledger().encode_to_vec();
            if row.len() > ROW_BYTES_MAX {
                return Err(StoreError(format!("the ledger has {} bytes, more than a row may have", row.len())));
            }
            rows.put_state(ledger::state_id(self.side, Record::Groups), row.into())?;
            flushed.rows_written += 1;
        }
        for (record, value) in core::mem::take(&mut self.records) {
            rows.put_state(ledger::state_id(self.side, record), value)?;
            flushed.rows_written += 1;
        }
        self.evict();
        Ok(flushed)
    }

    /// Brings the lanes into the shape in which they are stored, and keeps the holes bounded by folding segments:
    /// those first that relieve the ledger most.
    fn settle(&mut self, rows: &mut impl Rows) -> Result<(), StoreError> {
        let mut empty_lanes = 0;
        for lane in self.lanes.values_mut() {
            lane.settle(&mut Desk { rows, cache: &mut self.cache }, empty_lanes)?;
            empty_lanes += usize::from(lane.live.length == 0 && lane.tail.is_some());
        }
        let mut weight: usize = self.lanes.values().flat_map(|lane| lane.holes.values()).map(Hole::weight).sum();
        let mut folds = 0;
        while weight > HOLES_WEIGHT_MAX && (folds < FOLDS_PER_FLUSH || weight > 2 * HOLES_WEIGHT_MAX) {
            let holes = self.lanes.iter().flat_map(|(lane, log)| log.holes.iter().map(move |hole| (*lane, hole)));
            let heaviest = holes.filter(|(_, (_, hole))| !hole.whole).max_by_key(|(_, (_, hole))| hole.weight());
            let Some((lane, (first, hole))) = heaviest else { break };
            (weight, folds) = (weight - hole.weight(), folds + 1);
            let first = *first;
            let lane = self.lanes.get_mut(&lane).expect("it has a hole");
            lane.fold(&mut Desk { rows, cache: &mut self.cache }, first)?;
        }
        Ok(())
    }

    fn ledger(&self) -> Ledger {
        let sums = self.lanes.iter().map(|(lane, log)| LaneSums {
            lane: lane.0,
            length: log.live.length,
            bytes: log.live.bytes,
        });
        let holes = self.lanes.iter().flat_map(|(lane, log)| {
            log.holes.iter().map(|(first, hole)| HoleRecord {
                lane: lane.0,
                first: first.0,
                bytes: hole.bytes,
                whole: hole.whole,
                runs: hole.encode(),
            })
        });
        Ledger {
            seq: self.seq,
            next_index: self.next_index.0,
            length: self.live.length,
            bytes: self.live.bytes,
            lanes: sums.collect(),
            holes: holes.collect(),
            groups: self.groups.clone(),
        }
    }

    /// Forgets decoded segments, the longest unused first, once they are too many. Dirty ones stay.
    fn evict(&mut self) {
        if self.cache.bytes <= self.cache.bytes_max {
            return;
        }
        let mut clean = Vec::new();
        self.cache.bytes = 0;
        for (lane, log) in &self.lanes {
            for (first, segment) in &log.segments {
                match segment.dirty {
                    true => continue,
                    false => clean.push((segment.used, *lane, *first, segment.cost())),
                }
                self.cache.bytes += segment.cost();
            }
        }
        clean.sort_unstable_by_key(|segment| segment.0);
        for (_, lane, first, cost) in clean {
            if self.cache.bytes <= self.cache.bytes_max / 4 * 3 {
                break;
            }
            self.cache.bytes -= cost;
            self.lanes.get_mut(&lane).and_then(|log| log.segments.remove(&first));
        }
    }
}

fn contradiction(what: &str) -> StoreError {
    StoreError(String::from("what is stored contradicts itself: ") + what)
}
