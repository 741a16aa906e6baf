//! Which layers look back only so far: the rules by which each family says it.

use super::family::Family;
use super::raw::Raw;
use super::{malformed, unsupported};
use crate::model::error::LoadError;

/// Each layer's window.
pub(super) fn windows(raw: &Raw, family: Family, file: &str) -> Result<Vec<Option<usize>>, LoadError> {
    let layers = raw.num_hidden_layers;
    let window = match family {
        // transformers ignores a window here: whoever wrote one meant another architecture.
        Family::Llama => match raw.sliding_window {
            Some(window) => return Err(unsupported(file, "sliding_window", window.to_string(), "null")),
            None => None,
        },
        Family::Qwen2 | Family::Qwen3 => raw.sliding_window.filter(|_| raw.use_sliding_window == Some(true)),
        _ => raw.sliding_window,
    };
    let Some(window) = window else { return no_window(raw, family, file) };
    if window == 0 {
        return Err(malformed(file, "sliding_window is 0"));
    }
    let slides = sliding_layers(raw, family, file)?;
    Ok((0..layers).map(|layer| slides[layer].then_some(window)).collect())
}

/// Qwen names windows that it then does not use; another family that names layers with one must say how wide.
fn no_window(raw: &Raw, family: Family, file: &str) -> Result<Vec<Option<usize>>, LoadError> {
    let named = raw.layer_types.as_ref().is_some_and(|kinds| kinds.iter().any(|k| k == "sliding_attention"));
    if named || family.is_gemma() {
        return Err(malformed(file, "layers with sliding_attention, but no sliding_window in use"));
    }
    Ok(vec![None; raw.num_hidden_layers])
}

fn sliding_layers(raw: &Raw, family: Family, file: &str) -> Result<Vec<bool>, LoadError> {
    let layers = raw.num_hidden_layers;
    if let Some(kinds) = &raw.layer_types {
        return named_layers(kinds, layers, file);
    }
    let slides: &dyn Fn(usize) -> bool = match family {
        Family::Qwen2 | Family::Qwen3 => &|layer| layer >= raw.max_window_layers.unwrap_or(layers),
        Family::Gemma2 => &|layer| layer.is_multiple_of(2),
        Family::Gemma3 => {
            let pattern = raw.sliding_window_pattern.unwrap_or(layers);
            &move |layer| !(layer + 1).is_multiple_of(pattern)
        }
        Family::Llama | Family::Mistral | Family::Phi3 => &|_| true,
    };
    Ok((0..layers).map(slides).collect())
}

fn named_layers(kinds: &[String], layers: usize, file: &str) -> Result<Vec<bool>, LoadError> {
    if kinds.len() != layers {
        let problem = format!("layer_types names {} of {layers} layers", kinds.len());
        return Err(malformed(file, problem));
    }
    let slides = kinds.iter().map(|kind| match kind.as_str() {
        "sliding_attention" => Ok(true),
        "full_attention" => Ok(false),
        other => Err(unsupported(file, "layer_types", other, "full_attention, sliding_attention")),
    });
    slides.collect()
}
