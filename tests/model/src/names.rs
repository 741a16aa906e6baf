//! Who is who: small numbers inside the model, the words of the ledger at its border.

use tidegate_admission::{AttemptId, Time};

/// Routers in the fleet.
pub const ROUTERS: usize = 2;
/// Backends at most.
pub const BACKENDS: usize = 2;
/// Requests at most.
pub const REQUESTS: usize = 4;
/// Keys at most.
pub const KEYS: usize = 2;
/// Attempts that a router makes for one request.
pub const TRIES: usize = 2;
/// Attempts at most, over all requests.
pub const ATTEMPTS: usize = REQUESTS * TRIES;
/// Microseconds of one step of time: half a lease.
pub const TICK: u64 = tidegate_admission::pool::ROUTER_LEASE / 2;
/// Ticks for which a lease holds, and for which given-up work counts as running without a new proof.
pub const LEASE: u32 = 2;

const TRY_NAMES: [&str; ATTEMPTS] = ["0-0", "0-1", "1-0", "1-1", "2-0", "2-1", "3-0", "3-1"];
const ROUTER_NAMES: [&str; ROUTERS] = ["r0", "r1"];
const BACKEND_NAMES: [&str; BACKENDS] = ["b0", "b1"];

/// One attempt to run one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Try {
    /// The request.
    pub request: u8,
    /// 0 for the first attempt.
    pub number: u8,
}

impl Try {
    /// Every attempt there can be, in the order of [`Try::index`].
    pub fn all() -> impl Iterator<Item = Try> {
        (0..ATTEMPTS).map(Try::at)
    }

    /// The attempt with that index.
    pub fn at(index: usize) -> Try {
        Try { request: (index / TRIES) as u8, number: (index % TRIES) as u8 }
    }

    /// Its place in arrays over all attempts.
    pub fn index(self) -> usize {
        usize::from(self.request) * TRIES + usize::from(self.number)
    }

    /// The attempt that follows when this one is handed back.
    pub fn next(self) -> Try {
        Try { number: self.number + 1, ..self }
    }

    /// Its name in the ledger.
    pub fn id(self) -> AttemptId {
        AttemptId::from(TRY_NAMES[self.index()])
    }

    /// The attempt of that name.
    pub fn of(id: &AttemptId) -> Try {
        let digit = |at: usize| id.as_str().as_bytes().get(at).map_or(0, |byte| byte.wrapping_sub(b'0'));
        Try { request: digit(0), number: digit(2) }
    }
}

/// Some attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tries(pub u8);

impl Tries {
    /// All attempts of a request.
    pub fn of_request(request: u8) -> Tries {
        Try::all().filter(|one| one.request == request).collect()
    }

    /// With one more.
    pub fn insert(&mut self, one: Try) {
        self.0 |= 1 << one.index();
    }

    /// Whether it is among them.
    pub fn contains(self, one: Try) -> bool {
        self.0 >> one.index() & 1 == 1
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = Try> {
        Try::all().filter(move |one| self.contains(*one))
    }

    /// Their names in the ledger.
    pub fn ids(self) -> Vec<AttemptId> {
        self.iter().map(Try::id).collect()
    }
}

impl FromIterator<Try> for Tries {
    fn from_iter<I: IntoIterator<Item = Try>>(all: I) -> Tries {
        let mut tries = Tries::default();
        all.into_iter().for_each(|one| tries.insert(one));
        tries
    }
}

/// The number at the end of a name: `r1` is 1.
pub fn number(name: &str) -> u8 {
    name.bytes().last().map_or(0, |byte| byte.wrapping_sub(b'0'))
}

/// A router's name in the ledger.
pub fn router_id(router: usize) -> String {
    ROUTER_NAMES[router].to_owned()
}

/// A backend's name in the ledger.
pub fn backend_id(backend: usize) -> String {
    BACKEND_NAMES[backend].to_owned()
}

/// A tick as the ledger's time.
pub fn instant(tick: u32) -> Time {
    Time(u64::from(tick) * TICK)
}

/// The ledger's time as a tick.
pub fn tick(time: Time) -> u32 {
    u32::try_from(time.0 / TICK).unwrap_or(u32::MAX)
}
