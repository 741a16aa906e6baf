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

/// What people ask the demo model about Tidegate, in the wordings that it has learnt.
pub fn questions() -> Vec<&'static str> {
    let lines = include_str!("../../demo-model/questions.txt").lines();
    // Lines with a mark in front are comments, answers, and wordings that were held back from training.
    lines.filter(|line| line.starts_with(|first: char| first.is_ascii_alphabetic())).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn questions_are_questions() {
        let questions = super::questions();
        assert!(questions.contains(&"What is Tidegate?") && questions.len() > 100);
        assert!(questions.iter().all(|line| line.ends_with(['?', '.'])), "{questions:?}");
    }
}
