//! Tidegate's backend: runs one model with candle, batches what runs together, serves it in OpenAI's API, and defends
//! itself against more than it can bear. `tidegate-backend` runs it as a process; a router embeds it.
//!
//! Read in this order:
//!
//! 1. [`config`]: flags and variables to one checked [`Config`].
//! 2. [`run`](run()): a backend as a process: load, register, serve, drain.
//! 3. [`node`]: [`Backend`], the loaded model with its engine and slots, and what it reports about itself.
//! 4. [`server`](Backend::service): every path, and what every request passes before it gets there.
//! 5. `api`: the OpenAI calls, from a request's bytes to the last byte of its answer.
//! 6. [`slots`]: who runs, who was given up; the guards that keep that account true.
//! 7. [`error`]: kinds of refusal, and the answers that derive from them. [`health`]: `/health` and the probes;
//!    `metrics`.
//! 8. `register`: how routers find this backend through Redis.
//! 9. [`model`]: folder to decoder. [`chat_template`]: messages to a prompt. [`text`]: tokens to text, stop strings.
//!    [`grammar`]: what an answer may be.
//! 10. [`engine`]: the step loop that decodes all sequences together.

mod api;
pub mod chat_template;
pub mod config;
pub mod engine;
pub mod error;
pub mod grammar;
pub mod health;
mod metrics;
pub mod model;
pub mod node;
mod register;
mod run;
mod server;
pub mod slots;
pub mod text;

pub use config::{Config, Flags, ModelFlags};
#[cfg(feature = "demo-model")]
pub use model::demo::questions as demo_questions;
pub use model::{LoadError, ModelInfo, ModelSource};
pub use node::{Backend, Stalled, StartError};
pub use run::run;
