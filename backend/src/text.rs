//! Tokens to text: whole characters as early as possible, and never a part of a stop string.

mod detokenizer;
mod stop;
mod vocabulary;

pub use detokenizer::{TextError, TextStream};
pub use stop::{StopMatcher, StopOutput};
pub use vocabulary::Vocabulary;
