//! What each router may do alone while the ledger is out of reach: its share of the limits and of every backend's slots.

use crate::{
    caller::{Caller, Quota},
    limits::Limits,
};

/// One router's part of a fleet that cannot talk to itself: `rank` of `routers`, as it was last known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Routers that divide the fleet; at least 1.
    pub routers: u32,
    /// This one's place among them, from 0.
    pub rank: u32,
}

impl Share {
    /// All of it: for a router that knows of no other.
    pub const WHOLE: Share = Share { routers: 1, rank: 0 };

    /// Its part of `whole` things, when `dealt` things were dealt before, one to each router in turn: rounded down, and one
    /// of the remainder by rank. The parts of all routers add up to the whole.
    pub fn of(&self, whole: u32, dealt: u32) -> u32 {
        let routers = self.routers.max(1);
        let turn = (self.rank % routers + routers - dealt % routers) % routers;
        whole / routers + u32::from(turn < whole % routers)
    }

    /// Its part of each backend's slots, the backends taken in their order: no two routers' parts differ by more than one
    /// slot of the whole fleet.
    pub fn of_backends(&self, slots: impl IntoIterator<Item = u32>) -> Vec<u32> {
        let mut dealt = 0_u32;
        let mine = slots.into_iter().map(|slots| {
            let part = self.of(slots, dealt);
            dealt = dealt.wrapping_add(slots);
            part
        });
        mine.collect()
    }

    /// The limits with its part of the queue.
    pub fn of_limits(&self, limits: &Limits) -> Limits {
        Limits { max_queue_size: self.of(limits.max_queue_size, 0), ..*limits }
    }

    /// A caller with its part of each of its key's limits.
    pub fn of_caller(&self, caller: &Caller) -> Caller {
        let part = |limit: Option<u64>| {
            let (routers, rank) = (u64::from(self.routers.max(1)), u64::from(self.rank));
            limit.map(|limit| limit / routers + u64::from(rank % routers < limit % routers))
        };
        let Quota { requests, tokens, concurrency } = caller.quota;
        let quota = Quota { requests: part(requests), tokens: part(tokens), concurrency: part(concurrency) };
        Caller { quota, ..caller.clone() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(routers: u32) -> impl Iterator<Item = Share> {
        (0..routers).map(move |rank| Share { routers, rank })
    }

    #[test]
    fn a_router_alone_has_everything() {
        assert_eq!(Share::WHOLE.of_backends([3, 1, 4]), [3, 1, 4]);
        assert_eq!(Share::WHOLE.of_limits(&Limits::default()), Limits::default());
    }

    #[test]
    fn single_slots_are_dealt_in_turn() {
        let parts: Vec<_> = all(3).map(|share| share.of_backends([1, 1, 1, 1])).collect();
        assert_eq!(parts, [[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0]]);
    }

    proptest! {
        /// L8: together the routers never have more than the fleet, nor less.
        #[test]
        fn the_shares_add_up(routers in 1_u32..9, slots in prop::collection::vec(0_u32..20, 0..6), queue in 0_u32..200) {
            for (backend, whole) in slots.iter().enumerate() {
                let sum: u32 = all(routers).map(|share| share.of_backends(slots.clone())[backend]).sum();
                prop_assert_eq!(sum, *whole);
            }
            let limits = Limits { max_queue_size: queue, ..Limits::default() };
            let sum: u32 = all(routers).map(|share| share.of_limits(&limits).max_queue_size).sum();
            prop_assert_eq!(sum, queue);
            let quota = Quota { concurrency: Some(queue.into()), ..Quota::default() };
            let caller = Caller { key: String::new(), tenant: String::new(), weight: 1, quota, reserved: 0 };
            let sum: u64 = all(routers).filter_map(|share| share.of_caller(&caller).quota.concurrency).sum();
            prop_assert_eq!(sum, u64::from(queue));
            let totals: Vec<u32> = all(routers).map(|share| share.of_backends(slots.clone()).iter().sum()).collect();
            prop_assert!(totals.iter().max().unwrap() - totals.iter().min().unwrap() <= 1);
        }
    }
}
