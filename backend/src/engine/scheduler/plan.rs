//! How many tokens of each running sequence the next step computes.

/// Prompt tokens that a step takes even when decodes alone fill the budget, so that no prompt starves.
const LEAST_PREFILL: usize = 16;

/// For each running sequence, the most urgent first, how many of its `pending` tokens the next step computes.
///
/// One pending token is a decode (or the end of a prompt, which costs the same) and always goes: running
/// streams advance in every step. What the budget leaves goes to longer prompts, the most urgent first.
pub(super) fn plan(pending: &[usize], budget: usize) -> Vec<usize> {
    let decodes = pending.iter().filter(|tokens| **tokens == 1).count();
    let mut left = budget.saturating_sub(decodes).max(LEAST_PREFILL);
    let mut share = |tokens: usize| {
        if tokens == 1 {
            return 1;
        }
        let chunk = tokens.min(left);
        left -= chunk;
        chunk
    };
    pending.iter().map(|tokens| share(*tokens)).collect()
}

#[cfg(test)]
mod tests {
    use super::plan;

    #[test]
    fn decodes_always_go_and_prompts_share_the_rest_in_order() {
        assert_eq!(plan(&[1, 100, 1, 50, 30], 128), [1, 100, 1, 26, 0]);
    }

    #[test]
    fn a_prompt_advances_even_when_decodes_fill_the_budget() {
        let mut pending = vec![1; 40];
        pending.push(90);
        let shares = plan(&pending, 32);
        assert!(shares[..40].iter().all(|share| *share == 1));
        assert_eq!(shares[40], 16);
    }

    #[test]
    fn a_short_prompt_goes_whole() {
        assert_eq!(plan(&[7], 256), [7]);
    }
}
