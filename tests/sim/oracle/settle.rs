//! What ends an entry: for one group, for everybody, or in the rear.

use super::model::Sure;
use super::{Oracle, SideModel};
use edgequeue::queue::config::DeadPolicy;
use edgequeue::queue::entry::Tags;
use edgequeue::queue::store::Side;

impl Oracle {
    /// A group is done with an entry. The entry leaves when nobody else needs it.
    pub fn settle(&mut self, side: Side, group: &str, index: u64, sure: Sure) {
        let model = self.side_mut(side);
        let Some(settling) = model.groups.get_mut(group) else { return };
        if sure == Sure::Yes {
            settling.leases.remove(&index);
            settling.attempts.remove(&index);
            settling.gained.remove(&index);
            settling.avoid.remove(&index);
            settling.reserved.remove(&index);
        }
        settling.settled.insert(index, sure);
        self.leave_if_done(side, index);
    }

    /// Removes an entry that every group it matches has settled.
    pub fn leave_if_done(&mut self, side: Side, index: u64) {
        match everybody_is_done(self.side(side), index) {
            Sure::Yes => self.side_mut(side).remove(index),
            Sure::Maybe => {
                self.turn.optional.insert((side, index));
            }
            Sure::No => {}
        }
    }

    /// A lease ends without success. `counted` says whether the delivery counts as an attempt.
    pub fn give_back(&mut self, side: Side, group: &str, index: u64, counted: bool) {
        let (most, policy) = (self.settings.max_delivery, self.settings.dead_message_policy);
        let model = self.side_mut(side);
        let Some(held) = model.entries.get(&index).cloned() else { return };
        let Some(giving) = model.groups.get_mut(group) else { return };
        giving.leases.remove(&index);
        if !counted {
            return;
        }
        let attempts = giving.attempts.entry(index).or_insert(0);
        *attempts += 1;
        giving.touched.insert(index, Sure::Yes);
        if side == Side::Rear || most == 0 || *attempts < most {
            return;
        }
        let mut tags: Tags = held.tags.clone();
        tags.extend(giving.gained.get(&index).cloned().unwrap_or_default());
        giving.delivered.1 += 1;
        self.settle(side, group, index, Sure::Yes);
        if policy == DeadPolicy::Rear as i32 {
            self.turn.dying.push((held.entry, tags));
        }
    }

    /// A group is gone: entries only it still needed have to go, in this turn or soon.
    pub fn drop_group(&mut self, side: Side, group: &str) {
        let model = self.side_mut(side);
        model.groups.remove(group);
        let indexes: Vec<u64> = model.entries.keys().copied().collect();
        for index in indexes {
            let done = everybody_is_done(self.side(side), index);
            if done != Sure::No {
                self.side_mut(side).sweepable.insert(index);
            }
        }
    }
}

/// Whether at least one group matches an entry and all that do are done with it.
pub fn everybody_is_done(model: &SideModel, index: u64) -> Sure {
    let held = &model.entries[&index];
    let matching = model.groups.values().filter(|group| group.matches(held));
    matching.map(|group| group.done(index)).min().unwrap_or(Sure::No)
}
