//! Opening one side: sums, tombstones, and what damage leaves of them.

use super::{Log, Side};
use crate::queue::effect::Record;
use crate::queue::entry::{Index, Priority};
use crate::queue::refusal::StoreError;
use crate::store::damage::Damage;
use crate::store::format::state_row;
use crate::store::manifest::{self, Manifest, PrioritySums, TombstonesRecord};
use crate::store::priority_log::{Access, Cache, Opened, PriorityLog, Sums};
use crate::store::rows::{PriorityKey, Rows};
use crate::store::tombstones::Tombstones;
use alloc::{collections::BTreeMap, vec::Vec};

impl Log {
    /// Reads the manifest and the checkpoint of each priority's last segment; the newest of them knows the sums.
    pub fn open(side: Side, rows: &mut impl Rows, cache_bytes_max: usize) -> Result<Self, StoreError> {
        let row = state_row(side, Record::Groups);
        let manifest = match rows.state(row.id)? {
            Some(sealed) => manifest::decode(row, &sealed)?,
            None => Manifest { next_index: 1, ..Manifest::default() },
        };
        let mut log = Self {
            side,
            seq: manifest.seq,
            next_index: Index(manifest.next_index),
            live: Sums { length: manifest.length, bytes: manifest.bytes },
            priorities: BTreeMap::new(),
            cache: Cache { bytes_max: cache_bytes_max, ..Cache::default() },
            damage: Damage::default(),
            groups: manifest.groups,
            records: BTreeMap::new(),
            appended: false,
            manifest_dirty: false,
        };
        let uncounted = log.open_priorities(rows, manifest.seq, &manifest.priorities)?;
        log.open_tombstones(rows, manifest.tombstones, !uncounted.is_empty())?;
        log.check_opened(rows, uncounted)?;
        Ok(log)
    }

    /// Says which priorities must be counted because their last checkpoint is damaged, and what their rows leave out.
    fn open_priorities(
        &mut self,
        rows: &mut impl Rows,
        manifest_seq: u64,
        sums: &[PrioritySums],
    ) -> Result<Vec<(Priority, Sums)>, StoreError> {
        let (mut above, mut to_count) = (None, Vec::new());
        while let Some(priority) = rows.priority_above(self.side, above)? {
            above = Some(priority);
            let mut access = Access { rows, cache: &mut self.cache, damage: &mut self.damage };
            let Opened { mut log, checkpoint, uncounted } =
                PriorityLog::open(PriorityKey { side: self.side, priority }, &mut access)?;
            if let Some(checkpoint) = checkpoint.filter(|checkpoint| checkpoint.seq > self.seq) {
                self.seq = checkpoint.seq;
                self.next_index = self.next_index.max(Index(checkpoint.next_index));
                self.live = Sums { length: checkpoint.length, bytes: checkpoint.bytes };
            }
            match (uncounted, checkpoint) {
                (Some(uncounted), _) => {
                    self.next_index = self.next_index.max(log.next_index());
                    to_count.push((priority, uncounted));
                }
                (None, Some(checkpoint)) if checkpoint.seq > manifest_seq => {
                    log.live = Sums { length: checkpoint.priority_length, bytes: checkpoint.priority_bytes };
                }
                _ => {
                    let stored = sums.iter().find(|sums| sums.priority == priority.0);
                    let stored = stored.ok_or_else(|| contradiction("the manifest does not know a priority"))?;
                    log.live = Sums { length: stored.length, bytes: stored.bytes };
                }
            }
            self.priorities.insert(priority, log);
        }
        Ok(to_count)
    }

    /// Segments whose entries were all removed may have been appended to without writing the manifest. A tail knows how
    /// many it has; of another segment (there is at most one per priority) the row is read.
    fn open_tombstones(
        &mut self,
        rows: &mut impl Rows,
        records: Vec<TombstonesRecord>,
        is_damaged: bool,
    ) -> Result<(), StoreError> {
        for record in records {
            let first = Index(record.first);
            let Some(log) = self.priorities.get_mut(&Priority(record.priority)) else {
                // The only row of a priority may be one that cannot say which priority it has.
                if is_damaged {
                    continue;
                }
                return Err(contradiction("entries are removed from a priority that does not exist"));
            };
            let mut tombstones = Tombstones::decode(record.runs, record.bytes)?;
            let count = tombstones.count;
            tombstones.all_deleted = match log.tail {
                Some(tail) if tail.first == first => tail.count == count,
                _ if !record.all_deleted => false,
                _ => {
                    let mut access = Access { rows, cache: &mut self.cache, damage: &mut self.damage };
                    log.read(&mut access, first)?.is_some_and(|segment| segment.len() as u64 == count)
                }
            };
            log.tombstones.insert(first, tombstones);
        }
        Ok(())
    }

    /// Counts what could not be read, and holds the sums of the priorities against the queue's.
    fn check_opened(&mut self, rows: &mut impl Rows, uncounted: Vec<(Priority, Sums)>) -> Result<(), StoreError> {
        let is_damaged = !uncounted.is_empty();
        for (priority, uncounted) in uncounted {
            let log = self.priorities.get_mut(&priority).expect("it was opened");
            log.bound_tail(self.next_index);
            log.recount(&mut Access { rows, cache: &mut self.cache, damage: &mut self.damage }, uncounted)?;
        }
        let mut all = Sums::default();
        self.priorities.values().for_each(|log| all.add(log.live));
        if is_damaged {
            self.live = all;
        }
        if self.seq >= 1 << 53 || self.next_index.0 >= 1 << 53 {
            return Err(contradiction("a number is larger than any that is given out"));
        }
        let mut tails = self.priorities.values().filter_map(|log| log.tail);
        if all != self.live || !tails.all(|tail| tail.last < self.next_index) {
            return Err(contradiction("the sums of the priorities are not the queue's"));
        }
        Ok(())
    }
}

fn contradiction(what: &str) -> StoreError {
    StoreError::Contradiction(what.into())
}
