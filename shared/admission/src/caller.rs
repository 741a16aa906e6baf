//! Whose a request is: the limits of its key, and the tenant that it is served for.
//!
//! A key's use is metered by leaky buckets (the continuous form of the Generic Cell Rate Algorithm, ITU-T I.371): what was
//! used leaks at the limit's own rate, and a request is admitted where it still fits below the limit. So no more than the
//! limit comes at once, and no more than the limit a minute in the long run.
//!
//! Tenants share a pool by start-time fair queueing (Goyal, Vin and Cheng, "Start-time Fair Queuing", SIGCOMM 1996) over served
//! tokens, the measure of fairness that "Fairness in Serving Large Language Models" (Sheng et al., OSDI 2024) argues for: see
//! [`crate::pool`].

/// Microseconds for which a limit is given.
pub const MINUTE: f64 = 60_000_000.0;
/// What a token adds to the number of its tenant's next place, at weight 1.
pub const PER_TOKEN: f64 = 64.0;
/// Microseconds of a slot that count as one token where the backend tells no usage.
pub const MICROS_PER_TOKEN: f64 = 1000.0;
/// The last place of a tenant's ticket: what lies above is another priority's, in Redis.
pub const LAST_PLACE: u64 = (1 << 51) - 1;

/// What a key may use of one pool. What is not there is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Quota {
    /// Requests a minute.
    pub requests: Option<u64>,
    /// Tokens a minute, of prompts and answers.
    pub tokens: Option<u64>,
    /// Requests at once, those that wait and those that were given up among them.
    pub concurrency: Option<u64>,
}

/// Whose a request is. Records share it, so that it takes one word where no keys are in use, and a copy is a count.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Caller {
    /// Id of the key; never the key itself.
    pub key: String,
    /// Name of the tenant whose key it is.
    pub tenant: String,
    /// The tenant's part of the fleet is in proportion to this; at least 1.
    pub weight: u64,
    /// What the key may use.
    pub quota: Quota,
    /// Tokens that are charged in advance: what the request declares to need at most, 0 where it says nothing. Once its use
    /// is known, that is charged instead.
    pub reserved: u64,
}

/// What a key has used of a pool, after a decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Allowance {
    /// Requests of the last minute, leaking at the limit's rate.
    pub requests: f64,
    /// Tokens of the last minute, leaking at the limit's rate.
    pub tokens: f64,
    /// Requests that it holds.
    pub held: f64,
}

/// What of `used` is left after so many microseconds; a meter without a limit stands at 0.
pub(crate) fn leaked(used: f64, limit: Option<u64>, elapsed: u64) -> f64 {
    let Some(limit) = limit else { return 0.0 };
    let left = used - elapsed as f64 * limit as f64 / MINUTE;
    if left > 0.0 { left } else { 0.0 }
}

/// Why a key may not have another request now, or in how many seconds it may: nothing where it may.
pub(crate) fn waits_for(allowance: &Allowance, quota: &Quota, reserved: u64) -> Option<Wait> {
    let within = |limit: Option<u64>, used: f64, wanted: f64| {
        let limit = limit? as f64;
        let over = used + wanted - limit;
        (over > 0.0).then(|| Wait { seconds: over * 60.0 / limit, never: wanted > limit })
    };
    let tokens = if reserved > 0 { reserved as f64 } else { 1.0 };
    if quota.concurrency.is_some_and(|limit| allowance.held + 1.0 > limit as f64) {
        // Nobody knows when one of them will end.
        return Some(Wait { seconds: 1.0, never: quota.concurrency == Some(0) });
    }
    within(quota.requests, allowance.requests, 1.0).or_else(|| within(quota.tokens, allowance.tokens, tokens))
}

/// How long a key has to wait for its next request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Wait {
    /// Seconds.
    pub(crate) seconds: f64,
    /// However long it waits.
    pub(crate) never: bool,
}
