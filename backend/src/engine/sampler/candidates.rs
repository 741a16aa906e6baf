//! The tokens that may be drawn, and the draw.
//!
//! Nothing here sorts a vocabulary: `min_p` is a bound on logits, `top_k` a partial selection, and `top_p` selects as
//! many of the likeliest as it turns out to need.

use std::cmp::Ordering;

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
        let weight = |logit: f32| ((logit - max) / sampling.temperature).exp();
        let top_k = sampling.top_k.filter(|k| *k < logits.len());
        if sampling.min_p <= 0.0 && top_k.is_none() && sampling.top_p >= 1.0 {
            for logit in logits.iter_mut() {
                *logit = weight(*logit);
            }
            return Self::All(logits);
        }
        // The likeliest token has the weight 1, so that min_p is a bound on weights, and, before any `exp`, on logits.
        let least =
            if sampling.min_p > 0.0 { max + sampling.temperature * sampling.min_p.ln() } else { f32::MIN };
        let kept = logits.iter().zip(0u32..).filter(|(logit, _)| **logit >= least);
        let mut kept: Vec<Candidate> =
            kept.map(|(logit, token)| Candidate { token, weight: *logit }).collect();
        if let Some(k) = top_k {
            keep_likeliest(&mut kept, k);
        }
        for candidate in &mut kept {
            candidate.weight = weight(candidate.weight);
        }
        if sampling.top_p < 1.0 {
            keep_nucleus(&mut kept, sampling.top_p);
        }
        Self::Some(kept)
    }

    /// The token at `point` (0 to 1) when all weights are laid end to end.
    pub(super) fn pick(&self, point: f64) -> u32 {
        match self {
            Self::All(weights) => pick(
                weights.iter().zip(0u32..).map(|(weight, token)| Candidate { token, weight: *weight }),
                point,
            ),
            Self::Some(kept) => pick(kept.iter().copied(), point),
        }
    }
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

/// Keeps the fewest of the likeliest whose share of the weight reaches `top_p`, at least one; the likeliest first.
pub(super) fn keep_nucleus(candidates: &mut Vec<Candidate>, top_p: f32) {
    let total = mass(candidates.iter().copied());
    let wanted = f64::from(top_p) * total;
    // Tokens below this weight hold less than `total - wanted` all together, so none of them is needed.
    let needless = (total - wanted) / candidates.len() as f64;
    candidates.retain(|candidate| f64::from(candidate.weight) >= needless);
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
fn mass(candidates: impl Iterator<Item = Candidate>) -> f64 {
    candidates.map(|candidate| f64::from(candidate.weight)).sum()
}

fn pick(candidates: impl Iterator<Item = Candidate> + Clone, point: f64) -> u32 {
    let point = point * mass(candidates.clone());
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
