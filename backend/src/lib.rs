//! Placeholder of the crate's map.

pub mod chat_template;
pub mod engine;
pub mod model;
pub mod text;
