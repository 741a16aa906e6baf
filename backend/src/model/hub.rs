//! Models by their name on the Hugging Face Hub: fetched into its cache, of which they are loaded like any folder.
//!
//! All files are of one commit, whatever happens to the branch meanwhile. Without network the cache serves what it has.
//! `HF_HOME`, `HF_HUB_CACHE`, `HF_TOKEN`, `HF_ENDPOINT` and `HF_HUB_OFFLINE` mean what they mean to every other program.

mod download;
mod wanted;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use hf_hub::api::sync::{Api, ApiBuilder, ApiError};
use hf_hub::{Cache, Repo, RepoType};

use super::error::LoadError;
use download::Downloader;

/// Where models are, unless `HF_ENDPOINT` names another server.
const ENDPOINT: &str = "https://huggingface.co";
/// The branch that is meant where none is named.
const MAIN: &str = "main";

/// A model on the hub: `organisation/name`, or `organisation/name@revision`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubModel {
    /// `organisation/name`.
    pub repository: String,
    /// A branch, a tag or a commit.
    pub revision: String,
}

impl fmt::Display for HubModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.revision.as_str() {
            MAIN => f.write_str(&self.repository),
            revision => write!(f, "{}@{revision}", self.repository),
        }
    }
}

impl HubModel {
    /// Reads a name; `None` where it can only be a path.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        let (repository, revision) = text.split_once('@').unwrap_or((text, MAIN));
        let (organisation, name) = repository.split_once('/')?;
        let word = |text: &str| {
            let first = text.chars().next().is_some_and(|first| first.is_ascii_alphanumeric());
            first && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        // A revision becomes a part of a path in the cache.
        let steps = revision.split('/').all(|step| !step.is_empty() && step != "." && step != "..");
        let repository = repository.to_owned();
        (word(organisation) && word(name) && steps)
            .then(|| Self { repository, revision: revision.to_owned() })
    }

    /// The folder of the model's files, fetched where the cache does not have them. Blocking.
    ///
    /// # Errors
    /// Says what the hub or the network said, and what to do about it.
    pub(crate) fn fetch(&self) -> Result<PathBuf, LoadError> {
        let hub = Hub::from_environment(self)?;
        if hub.offline {
            return hub
                .cached()
                .ok_or_else(|| hub.failed("the cache does not have it, and HF_HUB_OFFLINE is set"));
        }
        match hub.api.repo(hub.branch()).info() {
            Ok(info) => {
                let files: BTreeSet<String> = info.siblings.into_iter().map(|file| file.rfilename).collect();
                hub.download(&info.sha, &files)
            }
            Err(error) => hub.unreachable(&error),
        }
    }
}

/// A model, and the server and the cache that may have it.
struct Hub<'a> {
    model: &'a HubModel,
    api: Api,
    cache: Cache,
    endpoint: String,
    has_token: bool,
    offline: bool,
}

impl<'a> Hub<'a> {
    fn from_environment(model: &'a HubModel) -> Result<Self, LoadError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let failed = |problem: &str| LoadError::Hub { model: model.to_string(), problem: problem.to_owned() };
        let cache = match (variable("HF_HUB_CACHE"), variable("HF_HOME"), std::env::home_dir()) {
            (Some(folder), ..) => Cache::new(folder.into()),
            (None, Some(home), _) => Cache::new(PathBuf::from(home).join("hub")),
            (None, None, Some(_)) => Cache::default(),
            (None, None, None) => return Err(failed("there is no home folder to keep it in: set HF_HOME")),
        };
        let token = variable("HF_TOKEN").or_else(|| cache.token());
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let has_token = token.is_some();
        let api = ApiBuilder::from_cache(cache.clone())
            .with_endpoint(endpoint.clone())
            .with_token(token)
            .with_retries(3)
            .with_user_agent("tidegate", env!("CARGO_PKG_VERSION"))
            .build()
            .map_err(|error| failed(&error.to_string()))?;
        let offline = variable("HF_HUB_OFFLINE").is_some_and(|value| value != "0");
        Ok(Self { model, api, cache, endpoint, has_token, offline })
    }

    fn branch(&self) -> Repo {
        let HubModel { repository, revision } = self.model.clone();
        Repo::with_revision(repository, RepoType::Model, revision)
    }

    /// The files that the revision had when they were last fetched.
    fn cached(&self) -> Option<PathBuf> {
        let config = self.cache.repo(self.branch()).get(super::config::FILE)?;
        config.parent().map(PathBuf::from)
    }

    fn download(&self, commit: &str, files: &BTreeSet<String>) -> Result<PathBuf, LoadError> {
        // It becomes a part of paths.
        if commit.is_empty() || !commit.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(self.failed(&format!("the server names a commit {commit:?}")));
        }
        let pinned = Repo::with_revision(self.model.repository.clone(), RepoType::Model, commit.to_owned());
        let snapshot = self.cache.repo(pinned.clone()).pointer_path(commit);
        let downloader = Downloader { repo: self.api.repo(pinned), snapshot: &snapshot };
        let refused = |error: &ApiError| self.failed(&self.explain(error));
        for file in wanted::small(files) {
            downloader.small(file).map_err(|error| refused(&error))?;
        }
        for file in wanted::weights(files, &snapshot).map_err(|problem| self.failed(&problem))? {
            downloader.large(&file).map_err(|error| refused(&error))?;
        }
        let noted = self.cache.repo(self.branch()).create_ref(commit);
        noted.map_err(|error| self.failed(&format!("the cache cannot be written: {error}")))?;
        Ok(snapshot)
    }

    /// What the cache has, where the hub cannot be asked; it may be older than the hub's.
    fn unreachable(&self, error: &ApiError) -> Result<PathBuf, LoadError> {
        let answered = status(error).is_some();
        match self.cached().filter(|_| !answered) {
            Some(folder) => {
                let endpoint = &self.endpoint;
                tracing::warn!(model = %self.model, endpoint, %error, "no hub: using what the cache has");
                Ok(folder)
            }
            None => Err(self.failed(&self.explain(error))),
        }
    }

    fn failed(&self, problem: &str) -> LoadError {
        LoadError::Hub { model: self.model.to_string(), problem: problem.to_owned() }
    }

    /// What happened, and what to do about it.
    fn explain(&self, error: &ApiError) -> String {
        let (endpoint, model) = (&self.endpoint, self.model);
        match status(error) {
            Some(401 | 403) if self.has_token => {
                format!(
                    "{endpoint} has no such model, or the token may not read it: ask for access on its page"
                )
            }
            Some(401 | 403) => {
                format!(
                    "{endpoint} has no such model, or only shows it to some: set HF_TOKEN to a token that may read it"
                )
            }
            Some(404) => {
                format!("{endpoint} has no such model or no such revision, and no folder is called {model}")
            }
            Some(status) => format!("{endpoint} answered with status {status}"),
            None => format!(
                "{endpoint} cannot be reached ({error}), and the cache does not have it. Without network, pass \
                 --model the path of a folder"
            ),
        }
    }
}

/// The status of an answer that was an error; `None` where there was no answer.
fn status(error: &ApiError) -> Option<u16> {
    match error {
        ApiError::RequestError(error) => match **error {
            ureq::Error::StatusCode(status) => Some(status),
            _ => None,
        },
        ApiError::TooManyRetries(error) => status(error),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
