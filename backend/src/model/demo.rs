//! The demo model, compiled in so that the program answers from any folder.

use super::files::EmbeddedFile;

macro_rules! demo_files {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../demo-model/", $name)))),+]
    };
}

/// The files of backend/demo-model that loading reads.
pub(crate) const FILES: &[EmbeddedFile] = demo_files![
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
];
