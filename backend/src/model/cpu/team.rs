//! The threads of the CPU kernels, which a step of a model calls some hundred times for some microseconds each.
//!
//! Waking a sleeping thread takes longer than many such pieces of work, so that the threads look out for the next one for a while
//! before they sleep. And a core may be wanted by others, so that nobody waits for a thread that has no core: whoever calls does
//! the work itself, others help if they come in time, and only those who have come are waited for.

#![expect(
    unsafe_code,
    reason = "threads that live on run a closure that borrows from its caller, who waits for them"
)]

use std::any::Any;
use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, Thread};

use candle_core::utils::get_num_threads;

/// Looks at the gate before a thread lets others have its core: some 50 microseconds.
const SPINS: u32 = 1500;
/// Looks after that, each of which lets others have the core, before a thread sleeps.
const YIELDS: u32 = 50;

/// The gate: the number of the call in the upper half; whether one may still come; how many have come and not left.
const CALL: u64 = 1 << 32;
const OPEN: u64 = 1 << 31;

type Work<'a> = dyn Fn() + Sync + 'a;

/// Threads that help with work.
pub(super) struct Team {
    hall: Arc<Hall>,
    helpers: Vec<Thread>,
    /// Held by who calls.
    calling: Mutex<()>,
}

/// Where work is laid out.
struct Hall {
    gate: AtomicU64,
    /// What to do; written while the gate is shut and nobody is in, read by those who have come in.
    work: UnsafeCell<Option<&'static Work<'static>>>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `work` is written and read in turns, which the gate keeps apart.
unsafe impl Sync for Hall {}

impl Team {
    /// The team of this process: as many threads as candle uses, the caller included.
    pub(super) fn of_process() -> &'static Self {
        static TEAM: OnceLock<Team> = OnceLock::new();
        TEAM.get_or_init(|| Self::new(get_num_threads().saturating_sub(1)))
    }

    /// So many threads beside the caller; fewer where the system gives no more.
    fn new(helpers: usize) -> Self {
        let hall =
            Arc::new(Hall { gate: AtomicU64::new(0), work: UnsafeCell::new(None), panic: Mutex::default() });
        let start = |number: usize| {
            let hall = Arc::clone(&hall);
            let named = thread::Builder::new().name(format!("cpu-kernels-{number}"));
            named.spawn(move || hall.help()).map(|handle| handle.thread().clone())
        };
        let helpers = (0..helpers).map_while(|number| start(number).ok()).collect();
        Self { hall, helpers, calling: Mutex::new(()) }
    }

    /// How many threads there are, the caller included.
    pub(super) fn threads(&self) -> usize {
        self.helpers.len() + 1
    }

    /// Runs `work` on the calling thread, and on every other that comes before it is done. Work calls this again, or another thread
    /// does meanwhile: then it runs on the caller alone.
    ///
    /// # Panics
    /// When `work` does, on whichever thread.
    pub(super) fn run(&self, work: &Work<'_>) {
        let calling = match self.calling.try_lock() {
            Ok(calling) => calling,
            Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => return work(),
        };
        // SAFETY: nobody is in and the gate is shut, as the last caller left it. The reference is used by those only who come in,
        // and `shut` waits for them before this call ends, be it by a panic.
        unsafe {
            *self.hall.work.get() = Some(std::mem::transmute::<&Work<'_>, &'static Work<'static>>(work));
        }
        self.hall.open();
        self.helpers.iter().for_each(Thread::unpark);
        let own = catch_unwind(AssertUnwindSafe(work));
        self.hall.shut();
        let helpers = self.hall.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(calling);
        if let Some(panic) = own.err().or(helpers) {
            resume_unwind(panic);
        }
    }
}

impl Hall {
    fn open(&self) {
        let gate = self.gate.load(Ordering::Relaxed);
        self.gate.store((gate / CALL).wrapping_add(1) * CALL + OPEN, Ordering::Release);
    }

    /// Lets nobody in any more, and waits until all have left.
    fn shut(&self) {
        let mut gate = self.gate.fetch_and(!OPEN, Ordering::AcqRel);
        let mut looks = 0;
        while !gate.is_multiple_of(OPEN) {
            pause(&mut looks);
            gate = self.gate.load(Ordering::Acquire);
        }
    }

    /// What a helper does all its life.
    fn help(&self) {
        let mut seen = 0;
        loop {
            seen = self.next_call(seen);
            if self.come_in(seen) {
                // SAFETY: written before the gate opened; not written again before this helper leaves.
                if let Some(work) = unsafe { *self.work.get() }
                    && let Err(panic) = catch_unwind(AssertUnwindSafe(work))
                {
                    *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
                }
                self.gate.fetch_sub(1, Ordering::Release);
            }
        }
    }

    /// Waits for a call after the one of this number.
    fn next_call(&self, seen: u64) -> u64 {
        let mut looks = 0;
        loop {
            let call = self.gate.load(Ordering::Acquire) / CALL;
            if call != seen {
                return call;
            }
            if looks < SPINS + YIELDS {
                pause(&mut looks);
            } else {
                // Whoever opens the gate wakes all: before this, and it does not sleep; or after.
                thread::park();
                looks = 0;
            }
        }
    }

    /// Comes in to this call unless it is over.
    fn come_in(&self, call: u64) -> bool {
        let enter = |gate: u64| (gate / CALL == call && gate & OPEN != 0).then_some(gate + 1);
        self.gate.fetch_update(Ordering::Acquire, Ordering::Relaxed, enter).is_ok()
    }
}

fn pause(looks: &mut u32) {
    if *looks < SPINS {
        spin_loop();
    } else {
        thread::yield_now();
    }
    *looks = looks.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::Team;

    /// Numbers from 0 on, each given to one thread.
    fn count(team: &Team, items: usize) -> usize {
        let (cursor, sum) = (AtomicUsize::new(0), AtomicUsize::new(0));
        team.run(&|| {
            loop {
                let item = cursor.fetch_add(1, Ordering::Relaxed);
                if item >= items {
                    break;
                }
                sum.fetch_add(item, Ordering::Relaxed);
            }
        });
        sum.into_inner()
    }

    #[test]
    fn all_work_is_done_when_a_call_returns() {
        for helpers in [0, 1, 3, 7] {
            let team = Team::new(helpers);
            assert_eq!(team.threads(), helpers + 1);
            for items in (0..2000).chain([100_000]) {
                assert_eq!(count(&team, items), items * items.saturating_sub(1) / 2);
            }
        }
    }

    #[test]
    fn who_finds_the_team_busy_works_alone() {
        let team = Team::new(2);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for items in 1..500 {
                        assert_eq!(count(&team, items), items * (items - 1) / 2);
                    }
                });
            }
        });
        team.run(&|| assert_eq!(count(&team, 100), 4950));
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_team_works_on() {
        let team = Team::new(2);
        for _ in 0..50 {
            let all_panic = catch_unwind(AssertUnwindSafe(|| team.run(&|| panic!("on purpose"))));
            assert!(all_panic.is_err());
            assert_eq!(count(&team, 1000), 499_500);
        }
    }
}
