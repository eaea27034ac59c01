//! The ends of an entry: for one group, for everybody, or in the rear.

use super::model::{Group, Return, Sure};
use super::{Oracle, SideModel};
use edgequeue::queue::config::DeadPolicy;
use edgequeue::queue::entry::Tags;
use edgequeue::queue::store::Side;

impl Oracle {
    /// A group is done with an entry, because this consumer says so. The entry goes when no other group needs it.
    pub fn settle(&mut self, side: Side, group: &str, index: u64, by: &str) {
        let model = self.side_mut(side);
        let Some(settling) = model.groups.get_mut(group) else { return };
        let taken = settling.leases.get(&index).is_some_and(|lease| lease.user != by);
        model.revoked.extend(settling.holder(index).filter(|_| taken).map(|holder| (holder, index)));
        settling.forget(index);
        settling.settled.insert(index);
        if everybody_is_done(model, index) {
            model.remove(index);
        }
    }

    /// A lease ends without success. `counted` says whether the delivery counts as an attempt.
    pub fn requeue(&mut self, side: Side, group: &str, index: u64, counted: bool, back: Return) {
        let (most, policy) = (self.settings.max_delivery, self.settings.dead_message_policy);
        let model = self.side_mut(side);
        let Some(held) = model.entries.get(&index).cloned() else { return };
        let Some(giving) = model.groups.get_mut(group) else { return };
        giving.leases.remove(&index);
        giving.returns.insert(index, back);
        giving.touched.insert(index, Sure::Yes);
        let attempts = giving.attempts.entry(index).or_insert(0);
        *attempts += u32::from(counted);
        if side == Side::Rear || most == 0 || *attempts < most {
            return;
        }
        let mut tags: Tags = held.tags.clone();
        tags.extend(giving.gained.get(&index).cloned().unwrap_or_default());
        self.settle(side, group, index, "");
        self.side_mut(side).failed += 1;
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
            if everybody_is_done(self.side(side), index) {
                self.side_mut(side).sweepable.insert(index);
            }
        }
    }
}

/// Whether all groups that match an entry are done with it, at least one of them because it had it: entries that nobody
/// read are not removed because a group begins after them.
pub fn everybody_is_done(model: &SideModel, index: u64) -> bool {
    let held = &model.entries[&index];
    let matching: Vec<_> = model.groups.values().filter(|group| group.matches(held)).collect();
    let had = |group: &&Group| group.settled.contains(&index);
    matching.iter().any(had) && matching.iter().all(|group| group.done(index))
}
