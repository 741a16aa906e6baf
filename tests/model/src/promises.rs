//! The promises of the ledger, each checked in every state, and what must be seen to happen for the check to mean anything.

use std::collections::BTreeSet;

use stateright::Property;
use tidegate_admission::invariants;

use crate::{
    facts::Spot,
    names::{BACKENDS, Try},
    settle::Ending,
    setup::Setup,
    state::{State, Task},
    step_check::Breach,
    world::World,
};

/// L1.
pub const BOUNDED: &str = "L1: the queue is within the limit, and no backend has more than its slots";
/// L2, in the account.
pub const COUNTED: &str = "L2: every count equals what it counts";
/// L2, step by step.
pub const NOTHING_TAKEN: &str = "L2: a slot or a place is only lost for a reason";
/// L2, in the end.
pub const ENDS_AT_ZERO: &str = "L2: when all requests have ended, every count is zero within ten seconds";
/// L2, with a reset.
pub const RESET_FREES: &str =
    "L2: and ten seconds after a reset, when given-up work never stops and no backend reports";
/// L3.
pub const WORK_CONSERVING: &str = "L3: no slot is free that a waiting ticket could have";
/// L4.
pub const ORDERED: &str = "L4: no ticket is granted before an earlier one, nor after its time";
/// L5, towards the client.
pub const ONE_ANSWER: &str = "L5: a request has one final answer, and none if its router was killed first";
/// L5, towards the backends.
pub const RUNS_ONCE: &str = "L5: a request is not started again after its first byte";
/// L4 between tenants, and where their tickets stand.
pub const FAIR: &str = "L4 with keys: of two tenants that wait, whoever was served less by weight goes first";
/// The limits of keys.
pub const KEY_LIMITED: &str =
    "keys: no request passes its key's limits, and none that they allow is refused by them";

/// All promises of a world, then what must be seen to happen in it.
pub fn of(setup: &Setup) -> Vec<Property<World>> {
    let mut all = vec![
        Property::always(BOUNDED, |_, state: &State| holds(state, &["bounded", "within slots"])),
        Property::always(COUNTED, |_, state: &State| {
            holds(state, &["counted", "queued once", "placed", "owned", "charged"])
        }),
        Property::always(WORK_CONSERVING, |_, state: &State| holds(state, &["work-conserving"])),
        Property::always(NOTHING_TAKEN, |_, state: &State| state.ledger.breach != Some(Breach::TakenAway)),
        Property::always(ORDERED, |_, state: &State| {
            !matches!(state.ledger.breach, Some(Breach::Overtaken | Breach::GrantedLate))
        }),
        Property::always(ENDS_AT_ZERO, |world: &World, state: &State| {
            !state.at_rest() || state.settles(&world.setup, Ending::Confirmed)
        }),
        Property::always(RESET_FREES, |world: &World, state: &State| {
            !state.at_rest() || state.settles(&world.setup, Ending::Silent)
        }),
        Property::always(ONE_ANSWER, |_, state: &State| state.requests.iter().all(answered_once)),
        Property::always(RUNS_ONCE, |_, state: &State| state.breach.is_none()),
    ];
    if setup.keyed() {
        all.extend(with_keys(setup));
    } else {
        all.push(Property::sometimes("two tickets of one priority wait", |_, state: &State| {
            waits(state, 0) && waits(state, 1)
        }));
    }
    if setup.faults > 0 {
        all.extend(seen_with_faults());
    }
    all.extend(seen());
    all
}

/// What keys and tenants are promised, and what must be seen of it.
fn with_keys(setup: &Setup) -> Vec<Property<World>> {
    let mut all = vec![
        Property::always(FAIR, |_, state: &State| {
            !matches!(state.ledger.breach, Some(Breach::OutOfTurn | Breach::Misplaced))
        }),
        Property::always(KEY_LIMITED, |_, state: &State| {
            !matches!(state.ledger.breach, Some(Breach::OverLimit | Breach::Withheld))
        }),
        Property::sometimes("tickets of two tenants wait", |world: &World, state: &State| {
            let key = |request: &u8| world.setup.key(*request).map(|(number, _)| number);
            let waiting = (0..world.setup.wishes.len() as u8).filter(|request| waits(state, *request));
            waiting.filter_map(|request| key(&request)).collect::<BTreeSet<u8>>().len() > 1
        }),
    ];
    // Three of them: the first has the slot.
    if setup.wishes.len() > 3 {
        all.push(Property::sometimes("two tickets of one tenant wait", |_, state: &State| {
            waits(state, 2) && waits(state, 3)
        }));
    }
    all
}

/// Scenes without which the promises would hold of nothing.
fn seen() -> Vec<Property<World>> {
    vec![
        Property::sometimes("a ticket that was handed back waits", |_, state: &State| {
            spots(state).any(|(one, spot)| one.number > 0 && matches!(spot, Spot::Queued(_)))
        }),
        Property::sometimes("a second attempt ends well", |_, state: &State| {
            state.requests.iter().any(|request| matches!(request.task, Task::Streaming(1, _)))
        }),
        Property::sometimes(
            "a backend works while the account thinks that it is free",
            |_, state: &State| {
                (0..BACKENDS).any(|backend| {
                    let free = state.ledger.facts.backends[backend].is_some_and(|known| known.used == 0);
                    free && state.machines[backend].work.is_some()
                })
            },
        ),
    ]
}

/// The same, of what only faults bring about.
fn seen_with_faults() -> Vec<Property<World>> {
    vec![
        Property::sometimes("a dead router's slot is still counted", |_, state: &State| {
            let dead = |one| !state.routers[usize::from(state.ledger.facts.entry(one).router)];
            spots(state).any(|(one, spot)| dead(one) && matches!(spot, Spot::Running(..)))
        }),
        Property::sometimes(
            "a router does not know at a renewal what the account holds",
            |_, state: &State| state.ledger.facts.entries.iter().any(|entry| entry.suspect),
        ),
    ]
}

fn spots(state: &State) -> impl Iterator<Item = (Try, Spot)> {
    Try::all().map(|one| (one, state.ledger.facts.spot(one)))
}

fn waits(state: &State, request: u8) -> bool {
    spots(state).any(|(one, spot)| one.request == request && matches!(spot, Spot::Queued(_)))
}

/// Whether all invariants of the production crate whose names begin so hold.
fn holds(state: &State, names: &[&str]) -> bool {
    let bits = state.ledger.facts.violated;
    bits == 0
        || invariants::ALL.iter().enumerate().all(|(at, (name, _))| {
            bits >> at & 1 == 0 || !names.iter().any(|wanted| name.starts_with(wanted))
        })
}

fn answered_once(request: &crate::state::Request) -> bool {
    request.answers == u8::from(request.task == Task::Over)
}
