//! The files of a model, from a folder or from the program itself.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::ModelSource;
use super::error::LoadError;
use super::mapped::{self, Mapped};

/// A file compiled in: its name and its bytes.
pub(crate) type EmbeddedFile = (&'static str, &'static [u8]);

/// Where a model's files are read from.
#[derive(Clone, Debug)]
pub(crate) enum ModelFiles {
    Folder(PathBuf),
    #[cfg_attr(not(feature = "demo-model"), expect(dead_code, reason = "only the demo model is compiled in"))]
    Embedded(&'static [EmbeddedFile]),
}

impl ModelFiles {
    pub(crate) fn open(source: &ModelSource) -> Result<Self, LoadError> {
        match source {
            ModelSource::Folder(path) if path.is_dir() => Ok(Self::Folder(path.clone())),
            ModelSource::Folder(path) => Err(LoadError::NotAFolder { path: path.clone() }),
            ModelSource::Hub(model) => Err(LoadError::Hub {
                model: model.to_string(),
                problem: "its files have not been fetched".to_owned(),
            }),
            // What lies beside the file.
            ModelSource::Gguf(path) => Ok(Self::Folder(path.parent().unwrap_or(Path::new("")).to_owned())),
            #[cfg(feature = "demo-model")]
            ModelSource::Demo => Ok(Self::Embedded(super::demo::FILES)),
        }
    }

    /// The file's name as errors give it.
    pub(crate) fn name(&self, file: &str) -> String {
        match self {
            Self::Folder(folder) => folder.join(file).display().to_string(),
            Self::Embedded(_) => format!("demo model: {file}"),
        }
    }

    /// The content of a small file; `None` where the model does not have it.
    pub(crate) fn read(&self, file: &str) -> Result<Option<Cow<'static, [u8]>>, LoadError> {
        match self {
            Self::Folder(folder) => read_file(&folder.join(file)),
            Self::Embedded(files) => Ok(find(files, file).map(Cow::Borrowed)),
        }
    }

    /// The content of a small file that every model must have.
    pub(crate) fn require(&self, file: &str, purpose: &'static str) -> Result<Cow<'static, [u8]>, LoadError> {
        self.read(file)?.ok_or_else(|| LoadError::MissingFile { file: self.name(file), purpose })
    }

    /// A file of weights, mapped and not read; `None` where the model does not have it.
    pub(crate) fn map(&self, file: &str) -> Result<Option<Mapped>, LoadError> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(file);
                found(&path, mapped::map(&path))
            }
            Self::Embedded(files) => Ok(find(files, file).map(Mapped::Static)),
        }
    }
}

fn find(files: &[EmbeddedFile], file: &str) -> Option<&'static [u8]> {
    files.iter().find(|(name, _)| *name == file).map(|(_, bytes)| *bytes)
}

fn read_file(path: &Path) -> Result<Option<Cow<'static, [u8]>>, LoadError> {
    Ok(found(path, std::fs::read(path))?.map(Cow::Owned))
}

fn found<T>(path: &Path, result: std::io::Result<T>) -> Result<Option<T>, LoadError> {
    match result {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LoadError::Read { file: path.display().to_string(), source }),
    }
}
