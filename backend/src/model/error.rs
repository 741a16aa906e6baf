//! Why a model is refused: always with the file, and where it applies the tensor or the setting.

use std::path::PathBuf;

/// Why a model cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The path is no folder.
    #[error("{}: there is no such model folder", path.display())]
    NotAFolder {
        /// What was given.
        path: PathBuf,
    },
    /// A file that every model needs is not there.
    #[error("{file}: the model has no such file ({purpose})")]
    MissingFile {
        /// The file.
        file: String,
        /// What it is needed for.
        purpose: &'static str,
    },
    /// A file cannot be read.
    #[error("{file}: {source}")]
    Read {
        /// The file.
        file: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{file}: {problem}")]
    Malformed {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A setting that this program does not implement.
    #[error("{file}: {setting} is {found}, which is not supported ({supported})")]
    Unsupported {
        /// The file.
        file: String,
        /// The setting's name.
        setting: String,
        /// Its value.
        found: String,
        /// What would be accepted.
        supported: String,
    },
    /// A weight that the configuration calls for is in no file.
    #[error("{file}: tensor {tensor} is missing (expected shape {expected:?})")]
    MissingTensor {
        /// Where it should be.
        file: String,
        /// The tensor's name.
        tensor: String,
        /// The shape that the configuration calls for.
        expected: Vec<usize>,
    },
    /// A weight has another shape than the configuration says.
    #[error("{file}: tensor {tensor} has shape {found:?}, but config.json calls for {expected:?}")]
    TensorShape {
        /// Where it is.
        file: String,
        /// The tensor's name.
        tensor: String,
        /// The shape that the configuration calls for.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// A model on the hub that cannot be had.
    #[error("{model}: {problem}")]
    Hub {
        /// Its name.
        model: String,
        /// What happened, and what to do about it.
        problem: String,
    },
    /// A longer context than the model was made for.
    #[error("{setting} is {asked}, but the model was made for {trained} tokens")]
    TooLong {
        /// The flag.
        setting: &'static str,
        /// What was given.
        asked: usize,
        /// What the model was made for.
        trained: usize,
    },
    /// Nobody waits for the model any more ([`super::LoadOptions::stop`]).
    #[error("stopped while it was being loaded")]
    Stopped,
    /// The device cannot be used.
    #[error("device {device}: {problem}")]
    Device {
        /// As asked for.
        device: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The device failed while weights were brought to it.
    #[error("{what}: {source}")]
    Compute {
        /// What was being made.
        what: String,
        /// What candle says.
        source: candle_core::Error,
    },
}
