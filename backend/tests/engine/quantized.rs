//! GGUF files, and weights quantised at load: against transformers with the same weights dequantised
//! (`fixtures/make_gguf.py`), and against themselves in batches.

use tidegate_backend::engine::EngineOptions;
use tidegate_backend::model::{Decoder, ModelSource, Quantization};

use crate::reference::{Reference, TOLERANCE, assert_same_bits, in_chunks, references_in, worst_difference};
use crate::support::{engine_on, fixture, fixtures, gguf, greedy, load_as, tokens};

const NAMES: [&str; 10] = [
    "llama_f16",
    "llama_q8_0",
    "llama_mixed",
    "llama_window",
    "qwen2_q8_0",
    "qwen3_q8_0",
    "phi3_q8_0",
    "phi3_long",
    "gemma2_q8_0",
    "gemma3_q8_0",
];

fn decoder(name: &str, quantization: Option<Quantization>) -> Decoder {
    load_as(&ModelSource::Gguf(gguf(name).join("model.gguf")), quantization).unwrap().decoder
}

fn prompts(references: &[Reference]) -> Vec<Vec<u32>> {
    references.iter().map(|reference| reference.prompt.clone()).collect()
}

/// Logits after each token of all prompts, less those of the reference, as a share of the reference: root mean squares.
fn relative_error(decoder: &Decoder, references: &[Reference]) -> f64 {
    let (mut differences, mut squares) = (0f64, 0f64);
    for reference in references {
        for (ours, theirs) in in_chunks(decoder, &reference.prompt, 1).iter().zip(&reference.logits) {
            for (ours, theirs) in ours.iter().zip(theirs) {
                differences += f64::from(ours - theirs).powi(2);
                squares += f64::from(*theirs).powi(2);
            }
        }
    }
    (differences / squares).sqrt()
}

/// The metadata, the order of rows, scaled frequencies and biases, apart from how products are computed.
#[tokio::test]
async fn dequantised_files_agree_with_transformers() {
    for name in NAMES {
        let references = references_in(&gguf(name));
        let worst = worst_difference(&decoder(name, Some(Quantization::None)), &references);
        println!("{name}, dequantised: max |difference of logits| {worst:.1e}");
        assert!(worst < TOLERANCE, "{name}: {worst}");
        let small = EngineOptions { max_sequences: 3, max_batch_tokens: 17, ..EngineOptions::default() };
        let engine = engine_on(decoder(name, Some(Quantization::None)), small);
        let streams: Vec<_> =
            references.iter().map(|r| engine.generate(greedy(&r.prompt, r.greedy.len())).unwrap()).collect();
        for (stream, reference) in streams.into_iter().zip(&references) {
            assert_eq!(
                tokens(stream).await,
                reference.greedy,
                "{name}, prompt of {}",
                reference.prompt.len()
            );
        }
    }
}

/// Products with quantised weights round the other side to 8 bits as well: near, but not equal.
#[test]
fn quantised_products_are_near_those_of_the_dequantised_weights() {
    for name in NAMES {
        let error = relative_error(&decoder(name, None), &references_in(&gguf(name)));
        println!("{name}, as it is: relative error of logits {error:.1e}");
        assert!(error < 0.05, "{name}: {error}");
        let quantised = name != "llama_f16";
        assert_eq!(error > 1e-5, quantised, "{name} was not computed as it is in the file: {error}");
    }
}

#[test]
fn a_step_with_quantised_weights_gives_the_same_bits_however_prompts_are_cut_and_mixed() {
    for name in NAMES {
        assert_same_bits(&decoder(name, None), &prompts(&references_in(&gguf(name))), name);
    }
    for name in fixtures() {
        let loaded = load_as(&ModelSource::Folder(fixture(&name)), Some(Quantization::Q8_0)).unwrap();
        assert_same_bits(&loaded.decoder, &prompts(&references_in(&fixture(&name))), &name);
    }
}

#[test]
fn a_model_says_what_its_weights_are_kept_in() {
    let folder = || ModelSource::Folder(fixture("plain"));
    let file = |name: &str| ModelSource::Gguf(gguf(name).join("model.gguf"));
    let cases = [
        (folder(), None, "f32"),
        (folder(), Some(Quantization::Q8_0), "q8_0, f32"),
        // Nothing in it is a multiple of 256 wide.
        (folder(), Some(Quantization::Q4K), "q8_0, f32"),
        (file("llama_mixed"), None, "q4_k+q6_k+q5_k+q8_0, f32"),
        (file("llama_mixed"), Some(Quantization::None), "f32"),
        (file("llama_f16"), None, "f32"),
        (file("llama_f16"), Some(Quantization::Q8_0), "q8_0, f32"),
    ];
    for (source, quantization, expected) in cases {
        let info = load_as(&source, quantization).unwrap().info;
        assert_eq!(info.precision(), expected, "{source:?}, {quantization:?}");
    }
}

/// Both sides of every product are rounded to 8 bits, in layers as narrow as these.
#[test]
fn quantising_at_load_stays_near_the_numbers() {
    for name in ["plain", "gemma3", "qwen3_bias"] {
        let loaded = load_as(&ModelSource::Folder(fixture(name)), Some(Quantization::Q8_0)).unwrap();
        let error = relative_error(&loaded.decoder, &references_in(&fixture(name)));
        println!("{name}, 8 bits at load: relative error of logits {error:.1e}");
        assert!(error > 1e-5 && error < 0.08, "{name}: {error}");
    }
}

/// Wide enough for kernels that take several blocks, or several rows, at once.
#[test]
fn a_quantised_step_gives_the_same_bits_however_prompts_are_cut_and_mixed() {
    let prompt = |length: u32| (0..length).map(|i| (i * 37 + length) % 256).collect::<Vec<u32>>();
    let prompts = [1, 19, 45].map(prompt);
    for quantization in [Quantization::Q8_0, Quantization::Q4K] {
        let loaded = load_as(&ModelSource::Demo, Some(quantization)).unwrap();
        println!("{}", loaded.info.precision());
        assert_same_bits(&loaded.decoder, &prompts, &quantization.to_string());
    }
}
