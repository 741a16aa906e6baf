//! Backends listed in a TOML file (`--backends-file`), which is read again as it changes.
//!
//! The file is compared by what it says and not by its date: a mounted ConfigMap is swapped by a link, and a key's file may
//! change while the list does not.

use super::Target;
use super::target::base_url;
use http::HeaderValue;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The list and the settings that hold for all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendsFile {
    /// Where it is.
    pub path: PathBuf,
    /// `--backend-slots`, for entries without slots of their own.
    pub slots: u32,
    /// `--backend-http2`, for entries that do not say.
    pub http2: bool,
    /// What it said when it was opened.
    pub listed: Vec<Target>,
}

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadFile(String);

impl BadFile {
    /// The reading itself broke.
    pub(super) fn broken(error: &dyn std::fmt::Display) -> Self {
        Self(format!("it could not be read: {error}"))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    backend: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    url: String,
    slots: Option<u32>,
    models: Option<Vec<String>>,
    weight: Option<u32>,
    api_key_file: Option<PathBuf>,
    http2: Option<bool>,
}

impl BackendsFile {
    /// Reads the file at `path` for the first time.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn open(path: PathBuf, slots: u32, http2: bool) -> Result<Self, BadFile> {
        let mut file = Self { path, slots, http2, listed: Vec::new() };
        file.listed = file.read()?;
        Ok(file)
    }

    /// What the file and the keys that it names say now.
    ///
    /// # Errors
    /// If a file cannot be read, or an entry cannot be used: then nothing of it is.
    pub fn read(&self) -> Result<Vec<Target>, BadFile> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let text = std::fs::read_to_string(&self.path)
            .map_err(|error| BadFile(format!("{}: {error}", self.path.display())))?;
        self.parse(&text, folder).map_err(|error| BadFile(format!("{}: {error}", self.path.display())))
    }

    /// What a text says; keys are looked for from `folder` on.
    fn parse(&self, text: &str, folder: &Path) -> Result<Vec<Target>, BadFile> {
        let document: Document = toml::from_str(text).map_err(|error| BadFile(error.to_string()))?;
        let mut urls = BTreeSet::new();
        let mut targets = Vec::with_capacity(document.backend.len());
        for entry in document.backend {
            let named = entry.url.clone();
            let target =
                self.target(entry, folder).map_err(|why| BadFile(format!("backend '{named}': {why}")))?;
            if !urls.insert(target.url.clone()) {
                return Err(BadFile(format!("backend '{named}' stands twice in the file")));
            }
            targets.push(target);
        }
        Ok(targets)
    }

    fn target(&self, entry: Entry, folder: &Path) -> Result<Target, String> {
        let Entry { url, slots, models, weight, api_key_file, http2 } = entry;
        let url = base_url(&url).ok_or("'url' must be a base URL such as http://127.0.0.1:8100")?;
        if slots.is_some_and(|slots| !(1..=100_000).contains(&slots)) {
            return Err("'slots' must be a whole number from 1 to 100000".to_owned());
        }
        if models.as_ref().is_some_and(|models| models.is_empty() || models.iter().any(String::is_empty)) {
            return Err("'models' must name at least one model; leave it out to ask the backend".to_owned());
        }
        let weight = weight.unwrap_or(1);
        if !(1..=1000).contains(&weight) {
            return Err("'weight' must be a whole number from 1 to 1000".to_owned());
        }
        let key = api_key_file.map(|path| read_key(&folder.join(path))).transpose()?;
        let (most_slots, slots) = (slots, slots.unwrap_or(self.slots));
        let http2 = http2.unwrap_or(self.http2);
        Ok(Target { url, slots, most_slots, models, weight, key, http2 })
    }
}

/// A key as the header that carries it. It is marked as sensitive, so that nothing prints it.
fn read_key(path: &Path) -> Result<HeaderValue, String> {
    let key = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let key = key.trim();
    if key.is_empty() {
        return Err(format!("{}: the file holds no key", path.display()));
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {key}"))
        .map_err(|_| format!("{}: the key has characters that a header cannot carry", path.display()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Target>, BadFile> {
        parse_with(text, false)
    }

    fn parse_with(text: &str, http2: bool) -> Result<Vec<Target>, BadFile> {
        BackendsFile { path: PathBuf::from("backends.toml"), slots: 8, http2, listed: Vec::new() }
            .parse(text, Path::new("/nowhere"))
    }

    #[test]
    fn an_entry_may_say_all_or_its_address_alone() {
        let targets = parse(
            "[[backend]]\nurl = \"http://h:1/v1\"\n\n[[backend]]\nurl = \"http://h:2\"\nslots = 16\nmodels = [\"m\", \"alias\"]\nweight = 3\n",
        );
        let second = Target {
            url: "http://h:2".to_owned(),
            slots: 16,
            most_slots: Some(16),
            models: Some(vec!["m".to_owned(), "alias".to_owned()]),
            weight: 3,
            key: None,
            http2: false,
        };
        assert_eq!(targets, Ok(vec![Target::new("http://h:1".to_owned(), 8, false), second]));
        assert_eq!(parse(""), Ok(vec![]));
    }

    #[test]
    fn an_entry_says_for_itself_whether_http_2_is_spoken() {
        let text = "[[backend]]\nurl = \"http://h:1\"\n[[backend]]\nurl = \"http://h:2\"\nhttp2 = true\n[[backend]]\nurl = \"http://h:3\"\nhttp2 = false\n";
        for (flag, expected) in [(false, [false, true, false]), (true, [true, true, false])] {
            let said: Vec<bool> = parse_with(text, flag).unwrap().iter().map(|target| target.http2).collect();
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (text, said) in [
            ("[[backend]]\nurl = \"ftp://h\"", "backend 'ftp://h': 'url' must be a base URL"),
            ("[[backend]]\nurl = \"http://h\"\nslots = 0", "'slots' must be a whole number from 1"),
            ("[[backend]]\nurl = \"http://h\"\nmodels = []", "'models' must name at least one"),
            ("[[backend]]\nurl = \"http://h\"\nweight = 0", "'weight' must be a whole number from 1"),
            ("[[backend]]\nurl = \"http://h\"\nslot = 3", "unknown field `slot`"),
            ("[[backend]]\nurl = \"http://h\"\nhttp2 = \"yes\"", "expected a boolean"),
            ("[[backend]]\nslots = 3", "missing field `url`"),
            ("[[backend]\n", "line 1"),
            ("[[backend]]\nurl = \"http://h\"\n[[backend]]\nurl = \"http://h/\"", "stands twice"),
            ("[[backend]]\nurl = \"http://h\"\napi_key_file = \"key\"", "/nowhere/key: No such file"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn a_key_stands_beside_the_list_and_is_never_printed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "secret-1\n").unwrap();
        let path = folder.path().join("backends.toml");
        std::fs::write(&path, "[[backend]]\nurl = \"http://h\"\napi_key_file = \"key\"").unwrap();
        let targets = BackendsFile::open(path, 8, false).unwrap().listed;
        assert_eq!(targets[0].key.as_ref().unwrap(), "Bearer secret-1");
        assert!(!format!("{targets:?}").contains("secret-1"), "{targets:?}");
    }
}
