//! Which files of a repository make a model: most repositories hold the same weights in several formats.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The index of weights in several files.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Settings, tokenizers and templates, also of the modules behind an encoder, with their small weights.
pub(super) fn small(files: &BTreeSet<String>) -> impl Iterator<Item = &str> {
    files.iter().map(String::as_str).filter(|file| match file.split_once('/') {
        None => file.ends_with(".json") || file.ends_with(".jinja"),
        Some((folder, "config.json" | SINGLE)) => is_module(folder),
        Some(_) => false,
    })
}

/// `1_Pooling`, as sentence-transformers numbers its modules.
fn is_module(folder: &str) -> bool {
    folder.split_once('_').is_some_and(|(number, name)| {
        let digits = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit());
        digits && !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric())
    })
}

/// The files of weights; where there are several, the index that names them is in `snapshot` already.
pub(super) fn weights(files: &BTreeSet<String>, snapshot: &Path) -> Result<Vec<String>, String> {
    if files.contains(INDEX) {
        let text = std::fs::read(snapshot.join(INDEX)).map_err(|error| format!("{INDEX}: {error}"))?;
        let index: Index = serde_json::from_slice(&text).map_err(|error| format!("{INDEX}: {error}"))?;
        let shards: BTreeSet<String> = index.weight_map.into_values().collect();
        return match shards.iter().find(|shard| shard.contains('/') || !files.contains(*shard)) {
            Some(missing) => Err(format!("{INDEX} names {missing}, which the model does not have")),
            None => Ok(shards.into_iter().collect()),
        };
    }
    if files.contains(SINGLE) {
        return Ok(vec![SINGLE.to_owned()]);
    }
    let other =
        files.iter().filter(|file| [".bin", ".gguf", ".pth", ".h5"].iter().any(|end| file.ends_with(end)));
    let other: Vec<&str> = other.map(String::as_str).take(3).collect();
    let found = if other.is_empty() { String::new() } else { format!("; it has {}", other.join(", ")) };
    Err(format!("it has no {SINGLE}{found}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn only_what_loading_reads_is_fetched() {
        let files = set(&[
            "config.json",
            "tokenizer.json",
            "chat_template.jinja",
            "1_Pooling/config.json",
            "2_Dense/model.safetensors",
            "2_Dense/pytorch_model.bin",
            "model.safetensors",
            "pytorch_model.bin",
            "onnx/model.onnx",
            "onnx/config.json",
            "original/consolidated.safetensors",
            "../config.json",
            "1_a/../config.json",
            "README.md",
        ]);
        let wanted: Vec<_> = small(&files).collect();
        let expected = [
            "1_Pooling/config.json",
            "2_Dense/model.safetensors",
            "chat_template.jinja",
            "config.json",
            "tokenizer.json",
        ];
        assert_eq!(wanted, expected);
        assert_eq!(weights(&files, Path::new("/none")), Ok(vec!["model.safetensors".to_owned()]));
    }

    #[test]
    fn an_index_may_only_name_files_of_the_repository() {
        let folder = tempfile::tempdir().unwrap();
        let write = |shard: &str| {
            let index = format!(r#"{{"weight_map": {{"a": "one.safetensors", "b": "{shard}"}}}}"#);
            std::fs::write(folder.path().join(INDEX), index).unwrap();
        };
        let files = set(&[INDEX, "one.safetensors", "two.safetensors"]);
        write("two.safetensors");
        let shards = vec!["one.safetensors".to_owned(), "two.safetensors".to_owned()];
        assert_eq!(weights(&files, folder.path()), Ok(shards));
        write("../../three.safetensors");
        assert!(weights(&files, folder.path()).unwrap_err().contains("three"));
    }

    #[test]
    fn other_formats_are_named_where_there_is_no_safetensors() {
        let error = weights(&set(&["config.json", "pytorch_model.bin"]), Path::new("/none")).unwrap_err();
        assert!(error.contains("pytorch_model.bin"), "{error}");
    }
}
