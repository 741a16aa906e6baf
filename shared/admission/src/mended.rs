//! What the account puts right by itself, for people: in a fleet in good order there is nothing of it.

/// What a step put right by itself: work that nobody gave back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mended {
    /// Routers whose lease had run out.
    pub routers: u32,
    /// Backends whose lease had run out.
    pub backends: u32,
    /// Tickets taken back from routers that died, or that did not know them at two renewals.
    pub tickets: u32,
    /// Slots taken back from such routers.
    pub slots: u32,
    /// Slots of abandoned work that the reset found unproven: the account had drifted by as many.
    pub drift: u32,
}

impl Mended {
    /// Adds what another step put right.
    pub fn add(&mut self, other: Mended) {
        self.routers = self.routers.saturating_add(other.routers);
        self.backends = self.backends.saturating_add(other.backends);
        self.tickets = self.tickets.saturating_add(other.tickets);
        self.slots = self.slots.saturating_add(other.slots);
        self.drift = self.drift.saturating_add(other.drift);
    }
}
