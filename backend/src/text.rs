//! Tokens to text: whole characters as early as possible, and never a part of a stop string.

mod detokenizer;
mod stop;

pub use detokenizer::{TextError, TextStream};
pub use stop::{StopMatcher, StopOutput};
