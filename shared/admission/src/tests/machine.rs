//! What holds whatever happens.

use proptest::prelude::*;

use super::trace::{Step, World, steps};
use crate::{
    Action, End, Event, Granted, Limits, Outcome, Pool, Reply, Time,
    pool::{POOL_MEMORY, ROUTER_LEASE},
    time::SECOND,
};

/// What two routers decide by that were started with different flags.
fn limits() -> [Limits; 2] {
    [5, 2].map(|max_queue_size| Limits {
        max_queue_size,
        queue_rejection_threshold: 1.0,
        rejection_start: 0.9,
        wait_share: 1.0,
        pool_memory: 20 * SECOND,
    })
}

/// The grants of one step: the answer's and the others'.
fn grants(outcome: &Outcome) -> Vec<&Granted> {
    let pushed = outcome.actions.iter().filter_map(|action| match action {
        Action::Grant(granted) => Some(granted),
        Action::Drop { .. } => None,
    });
    let answered = match &outcome.reply {
        Reply::Granted(granted, _) => Some(granted),
        _ => None,
    };
    pushed.chain(answered).collect()
}

/// Whether a ticket waits that should have been served before this grant.
fn overtook(world: &World, granted: &Granted) -> bool {
    world.pool.attempts().values().any(|other| {
        other.backend().is_none()
            && other.avoid.is_empty()
            && (other.place.priority, other.place.arrival) < (granted.place.priority, granted.place.arrival)
    })
}

/// Whether an event says nothing new: a renewal or a re-entry that its router has said before, or before another one, or the
/// registration of a former life of a backend whose present one still renews.
fn is_stale(pool: &Pool, event: &Event) -> bool {
    let heard = |router: &str, number| pool.routers.get(router).is_some_and(|lease| number <= lease.number);
    match event {
        Event::Renew(renewal) => heard(&renewal.router, renewal.number),
        Event::Reenter(reentry) => heard(&reentry.router, reentry.number),
        Event::PutBackend(backend) => {
            let present = pool.nodes.get(&backend.id).filter(|node| node.lease.is_some());
            present.is_some_and(|node| backend.epoch < node.epoch)
        }
        _ => false,
    }
}

/// Plays a trace, and checks after each step what must hold in each state.
fn play(trace: &[Step]) -> Result<World, TestCaseError> {
    let mut world = World::new(limits());
    for step in trace {
        let Some(event) = world.event(step) else { continue };
        world.apply(&Event::Tick);
        let before = world.pool.view();
        let unchanged = is_stale(&world.pool, &event).then(|| world.pool.clone());
        let outcome = world.apply(&event);
        prop_assert!(unchanged.is_none_or(|before| before == world.pool), "stale: {:?}", event);
        prop_assert_eq!(world.violated(), Vec::<&str>::new(), "after {:?}", event);
        let overtaken = grants(&outcome).into_iter().find(|granted| overtook(&world, granted));
        prop_assert_eq!(overtaken, None, "out of order after {:?}", event);
        let rejected = matches!((&event, &outcome.reply), (Event::Admit(_), Reply::Rejected(..)));
        prop_assert!(!(rejected && before.free && before.queued_total() == 0), "refused beside a free slot");
        let recovering = matches!(outcome.reply, Reply::Reentered { recovering: true, .. });
        prop_assert!(!recovering || grants(&outcome).is_empty(), "granted before the routers were back");
    }
    Ok(world)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// L1, L2 in the small, L3, L4: see `play`.
    #[test]
    fn every_state_keeps_the_promises(trace in steps(120)) {
        play(&trace)?;
    }

    /// L2: when all requests have ended, every count is zero.
    #[test]
    fn what_has_ended_is_gone(trace in steps(80)) {
        let mut world = play(&trace)?;
        let ids: Vec<_> = world.pool.attempts().keys().cloned().collect();
        ids.into_iter().for_each(|id| drop(world.apply(&Event::Cancel(id, End::ClientGone))));
        let ids: Vec<_> = world.pool.attempts().keys().cloned().collect();
        ids.into_iter().for_each(|id| drop(world.apply(&Event::Release(id, End::Finished, None))));
        let view = world.pool.view();
        prop_assert_eq!((view.running, view.abandoned, view.queued), (0, 0, [0; 3]));
        prop_assert!(world.pool.attempts().is_empty());
    }

    /// L2: and when all routers die instead, after their lease; a pool without backends is forgotten.
    #[test]
    fn what_died_is_gone(trace in steps(80)) {
        let mut world = play(&trace)?;
        world.now = world.now.plus(ROUTER_LEASE);
        world.apply(&Event::Tick);
        prop_assert!(world.pool.attempts().is_empty());
        prop_assert_eq!(world.violated(), Vec::<&str>::new());
        world.now = world.now.plus(POOL_MEMORY);
        world.apply(&Event::Tick);
        prop_assert!(world.pool.forgettable());
    }

    /// Every transition may come twice: the second time changes nothing.
    #[test]
    fn twice_is_once(trace in steps(80)) {
        let mut world = World::new(limits());
        for step in &trace {
            let Some(event) = world.event(step) else { continue };
            world.apply(&event);
            let (view, attempts) = (world.pool.view(), world.pool.attempts().clone());
            // A refused request and a ticket that was dropped at once hold nothing that could be recognised.
            let known = match &event {
                Event::Admit(ask) => attempts.contains_key(&ask.attempt),
                Event::HandBack(back) => attempts.contains_key(&back.next),
                _ => true,
            };
            if known {
                let again = world.pool.apply(world.now, &event);
                prop_assert_eq!(again.actions, vec![]);
                prop_assert_eq!(world.pool.view(), view, "{:?}", event);
                prop_assert_eq!(world.pool.attempts(), &attempts);
            }
        }
    }

    /// A clock that is put back makes no difference, then and from then on: the account's own goes on at the same pace.
    #[test]
    fn time_never_runs_backwards(trace in steps(60), back in prop::collection::vec(0..300 * SECOND, 60)) {
        let mut world = World::new(limits());
        let (mut other, mut behind) = (world.pool.clone(), 0);
        for (step, back) in trace.iter().zip(back) {
            let Some(event) = world.event(step) else { continue };
            let outcome = world.apply(&event);
            prop_assert_eq!(other.apply(Time(world.now.0 - behind), &event), outcome);
            // Every other time it goes right.
            behind += if back % 2 == 0 { back } else { 0 };
            world.apply(&Event::Tick);
            other.apply(Time(world.now.0 - behind), &Event::Tick);
            let due = world.pool.next_due().map(|due| Time(due.0 - behind));
            prop_assert_eq!(other.next_due(), due, "it is due on the clock that the caller goes by");
            prop_assert_eq!(other.snapshot(), world.pool.snapshot());
            prop_assert_eq!(other.attempts(), world.pool.attempts());
        }
    }
}
