//! The tokens that may be drawn, and the draw.
//!
//! Nothing here sorts a vocabulary: `min_p` is a bound on logits, `top_k` a partial selection, and `top_p` selects as
//! many of the likeliest as it turns out to need.

use std::cmp::Ordering;

use super::exponential::exp;
use super::total;
use crate::engine::Sampling;

/// A token and its weight: its probability but for a factor that all share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) token: u32,
    pub(super) weight: f32,
}

/// How many of the likeliest `top_p` looks at first, and by how many times more when they do not suffice.
const FIRST: usize = 64;
const MORE: usize = 4;

/// What is left to draw from; the weights of one draw.
#[derive(Debug)]
pub(super) enum Candidates<'a> {
    /// No filter: the weight of every token in its place.
    All(&'a [f32]),
    /// Those that the filters leave.
    Some(Vec<Candidate>),
}

impl<'a> Candidates<'a> {
    /// `logits`, of which `max` is the largest, after temperature and filters. `logits` are scratch afterwards.
    pub(super) fn new(logits: &'a mut [f32], max: f32, sampling: &Sampling) -> Self {
        let inverse = sampling.temperature.recip();
        let weight = |logit: f32| exp((logit - max) * inverse);
        // The likeliest token has the weight 1, so that min_p is a bound on weights, and, before any `exp`, on logits.
        let (mut kept, whole) = if let Some(k) = sampling.top_k.filter(|k| *k < logits.len()) {
            let least = max + sampling.temperature * sampling.min_p.ln();
            let mut kept = at_least(logits, least.max(f32::MIN));
            keep_likeliest(&mut kept, k);
            kept.iter_mut().for_each(|candidate| candidate.weight = weight(candidate.weight));
            let whole = mass(&kept);
            (kept, whole)
        } else {
            logits.iter_mut().for_each(|logit| *logit = weight(*logit));
            match (sampling.min_p > 0.0, sampling.top_p < 1.0) {
                (false, false) => return Self::All(logits),
                (true, _) => {
                    let kept = at_least(logits, sampling.min_p);
                    let whole = mass(&kept);
                    (kept, whole)
                }
                (false, true) => {
                    let whole = total(logits, |weight| weight);
                    (at_least(logits, needless(whole, logits.len(), sampling.top_p)), whole)
                }
            }
        };
        if sampling.top_p < 1.0 {
            keep_nucleus(&mut kept, f64::from(sampling.top_p) * whole);
        }
        Self::Some(kept)
    }

    /// The token at `point` (0 to 1) when all weights are laid end to end.
    pub(super) fn pick(&self, point: f64) -> u32 {
        match self {
            Self::All(weights) => {
                let all =
                    weights.iter().zip(0u32..).map(|(weight, token)| Candidate { token, weight: *weight });
                pick(all, point * total(weights, |weight| weight))
            }
            Self::Some(kept) => pick(kept.iter().copied(), point * mass(kept)),
        }
    }
}

/// What reaches `least`: logits or weights with their tokens.
fn at_least(row: &[f32], least: f32) -> Vec<Candidate> {
    let kept = row.iter().zip(0u32..).filter(|(weight, _)| **weight >= least);
    kept.map(|(weight, token)| Candidate { token, weight: *weight }).collect()
}

/// Tokens below this weight hold less than what `top_p` leaves out all together, so that none of them is needed. A little
/// less, so that rounding takes none too many.
fn needless(whole: f64, tokens: usize, top_p: f32) -> f32 {
    ((1.0 - f64::from(top_p)) * whole / tokens as f64 * 0.999) as f32
}

/// The likelier first; of equals the lower id, so that there is one answer.
fn likelier(a: &Candidate, b: &Candidate) -> Ordering {
    b.weight.total_cmp(&a.weight).then(a.token.cmp(&b.token))
}

/// Keeps the `k` likeliest, in no order.
fn keep_likeliest(candidates: &mut Vec<Candidate>, k: usize) {
    let k = k.max(1);
    if k < candidates.len() {
        candidates.select_nth_unstable_by(k, likelier);
        candidates.truncate(k);
    }
}

/// Keeps the fewest of the likeliest whose weights reach `wanted`, at least one; the likeliest first.
pub(super) fn keep_nucleus(candidates: &mut Vec<Candidate>, wanted: f64) {
    let (mut passed, mut taken, mut size) = (0.0, 0, FIRST);
    while taken < candidates.len() && (passed < wanted || taken == 0) {
        let rest = &mut candidates[taken..];
        if size < rest.len() {
            rest.select_nth_unstable_by(size, likelier);
        }
        let likeliest = size.min(rest.len());
        rest[..likeliest].sort_unstable_by(likelier);
        for candidate in &rest[..likeliest] {
            passed += f64::from(candidate.weight);
            taken += 1;
            if passed >= wanted {
                break;
            }
        }
        size *= MORE;
    }
    candidates.truncate(taken);
}

/// The sum of all weights, in double precision: a vocabulary of small ones must not be lost beside a large one.
fn mass(candidates: &[Candidate]) -> f64 {
    candidates.iter().map(|candidate| f64::from(candidate.weight)).sum()
}

/// The token at `point` when all weights are laid end to end.
fn pick(candidates: impl Iterator<Item = Candidate>, point: f64) -> u32 {
    let mut passed = 0.0;
    let mut last = 0;
    for candidate in candidates {
        if candidate.weight > 0.0 {
            last = candidate.token;
        }
        passed += f64::from(candidate.weight);
        if passed > point {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests;
