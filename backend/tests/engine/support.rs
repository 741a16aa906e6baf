//! What the tests share: fixtures, and tokens of a stream.

use std::path::{Path, PathBuf};

use tidegate_backend::engine::{
    Engine, EngineEvent, EngineOptions, FinishReason, GenerateRequest, Sampling, Service, TokenStream,
};
use tidegate_backend::model::{
    Decoder, DeviceChoice, LoadError, LoadOptions, LoadedModel, ModelSource, Quantization,
};

/// The model of this name in fixtures/models.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models").join(name)
}

/// The GGUF fixture of this name.
pub(crate) fn gguf(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gguf").join(name)
}

/// Names of all fixture models.
pub(crate) fn fixtures() -> Vec<String> {
    let folders = std::fs::read_dir(fixture("")).unwrap();
    let mut names: Vec<_> = folders.map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert!(names.len() >= 19, "fixtures are missing: {names:?}");
    names
}

/// Loads a folder on the CPU in f32.
pub(crate) fn load(folder: &Path) -> Result<LoadedModel, LoadError> {
    load_as(&ModelSource::Folder(folder.to_owned()), None)
}

/// Loads a model on the CPU, its weights kept as asked for.
pub(crate) fn load_as(
    source: &ModelSource,
    quantization: Option<Quantization>,
) -> Result<LoadedModel, LoadError> {
    let options = LoadOptions { device: DeviceChoice::Cpu, quantization, ..LoadOptions::default() };
    tidegate_backend::model::load(source, &options)
}

/// A copy of a fixture model that a test may spoil.
pub(crate) fn copy_of(name: &str) -> tempfile::TempDir {
    copy_of_folder(&fixture(name))
}

/// A copy of all files of a folder.
pub(crate) fn copy_of_folder(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

/// An engine on a fixture model.
pub(crate) fn engine(name: &str, max_sequences: usize, max_batch_tokens: usize) -> Engine {
    let options = EngineOptions { max_sequences, max_batch_tokens, ..EngineOptions::default() };
    engine_on(load(&fixture(name)).unwrap().decoder, options)
}

/// An engine on this model.
pub(crate) fn engine_on(decoder: Decoder, options: EngineOptions) -> Engine {
    Engine::start(decoder, options).unwrap()
}

/// A greedy request that only its length ends.
pub(crate) fn greedy(prompt: &[u32], max_tokens: usize) -> GenerateRequest {
    GenerateRequest {
        prompt: prompt.to_vec(),
        max_tokens,
        sampling: Sampling::greedy(),
        eos: vec![],
        service: Service::default(),
        hold: None,
    }
}

/// All tokens of a stream that must end by its length.
pub(crate) async fn tokens(mut stream: TokenStream) -> Vec<u32> {
    let mut tokens = Vec::new();
    loop {
        match stream.next().await {
            Some(EngineEvent::Token(token)) => tokens.push(token),
            Some(EngineEvent::Finished(FinishReason::Length)) => return tokens,
            other => panic!("{other:?} after {} tokens", tokens.len()),
        }
    }
}
