//! `tidegate-router keys make|list|revoke`: edits the key file. Routers that have it open follow within a second.
//!
//! Lines that are not concerned stay as they are, byte for byte. The file is replaced as a whole, so that no router ever reads half of
//! it, and only its owner may read it.

use super::record::Record;
use super::ring::{Ring, is_for_people};
use super::secret::NewKey;
use crate::shared::unix_seconds;
use anyhow::Context;
use clap::{Args, Subcommand};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// What `tidegate-router keys` is started with.
#[derive(Debug, Args)]
pub struct KeysFlags {
    /// The key file; `make` creates it where there is none.
    #[arg(long, env = "TIDEGATE_API_KEYS_FILE", value_name = "PATH", global = true)]
    pub api_keys_file: Option<PathBuf>,
    /// What to do with it.
    #[command(subcommand)]
    pub what: What,
}

/// What is done with the file.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Makes a key and prints it. It is shown this once: the file keeps a hash of it.
    Make(MakeFlags),
    /// Lists the keys, without what would let anybody in.
    List,
    /// Ends a key at once; it stays listed.
    Revoke {
        /// The eight digits behind its `tg-`, as `list` shows them.
        id: String,
    },
}

/// The new key's tenant and limits.
#[derive(Debug, Args)]
pub struct MakeFlags {
    /// Whose key it is. A tenant may have several.
    #[arg(long)]
    pub tenant: String,
    /// A name for people.
    #[arg(long)]
    pub label: Option<String>,
    /// Requests a minute, per model.
    #[arg(long)]
    pub requests_per_minute: Option<u64>,
    /// Tokens a minute, of prompts and answers, per model.
    #[arg(long)]
    pub tokens_per_minute: Option<u64>,
    /// Requests at once, per model, waiting ones among them.
    #[arg(long)]
    pub max_concurrent_requests: Option<u64>,
    /// A model that it may ask for; repeat it. Without it: all.
    #[arg(long = "model", value_delimiter = ',')]
    pub models: Vec<String>,
    /// The highest priority that it may ask for: high, normal or low.
    #[arg(long)]
    pub max_priority: Option<String>,
    /// The tenant's part of a busy fleet is in proportion to this; the same for all its keys.
    #[arg(long)]
    pub weight: Option<u64>,
}

/// Does what is asked for; gives what is printed.
///
/// # Errors
/// If there is no file, it is bad, or it cannot be written.
pub fn run(flags: &KeysFlags) -> anyhow::Result<()> {
    let path = flags.api_keys_file.as_deref();
    let path =
        path.context("pass --api-keys-file PATH (or TIDEGATE_API_KEYS_FILE): the file with the keys")?;
    let text = match &flags.what {
        What::Make(make) => make_key(path, make)?,
        What::List => list(&read(path)?)?,
        What::Revoke { id } => revoke(path, id)?,
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn make_key(path: &Path, flags: &MakeFlags) -> anyhow::Result<String> {
    let mut text = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        read => read.with_context(|| format!("the key file {} cannot be read", path.display()))?,
    };
    let key = NewKey::make();
    let record = Record {
        id: key.id.clone(),
        tenant: flags.tenant.clone(),
        sha256: key.hash().to_string(),
        label: flags.label.clone(),
        created: Some(unix_seconds()),
        requests_per_minute: flags.requests_per_minute,
        tokens_per_minute: flags.tokens_per_minute,
        max_concurrent_requests: flags.max_concurrent_requests,
        models: (!flags.models.is_empty()).then(|| flags.models.clone()),
        max_priority: flags.max_priority.clone(),
        weight: flags.weight,
        revoked: None,
    };
    record.check().map_err(anyhow::Error::msg)?;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&serde_json::to_string(&record)?);
    text.push('\n');
    replace(path, &text)?;
    Ok(format!("{}\n", key.reveal()))
}

pub(super) fn list(text: &str) -> anyhow::Result<String> {
    let mut lines = vec![
        [
            "ID",
            "TENANT",
            "LABEL",
            "REQUESTS/MIN",
            "TOKENS/MIN",
            "AT ONCE",
            "PRIORITY",
            "WEIGHT",
            "MODELS",
            "STATE",
        ]
        .map(str::to_owned),
    ];
    for (_, line) in super::ring::lines(text) {
        let record = Record::parse(line).map_err(anyhow::Error::msg)?;
        let number = |limit: Option<u64>| limit.map_or("-".to_owned(), |limit| limit.to_string());
        lines.push([
            record.id.clone(),
            record.tenant.clone(),
            record.label.clone().unwrap_or_else(|| "-".to_owned()),
            number(record.requests_per_minute),
            number(record.tokens_per_minute),
            number(record.max_concurrent_requests),
            record.max_priority.clone().unwrap_or_else(|| "high".to_owned()),
            record.weight.unwrap_or(1).to_string(),
            record.models.as_ref().map_or("all".to_owned(), |models| models.join(",")),
            if record.revoked.is_some() { "revoked" } else { "active" }.to_owned(),
        ]);
    }
    Ok(table(&lines))
}

/// Columns as wide as what stands in them.
fn table<const N: usize>(lines: &[[String; N]]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn revoke(path: &Path, id: &str) -> anyhow::Result<String> {
    let text = revoked(&read(path)?, id, unix_seconds())?;
    let text =
        text.with_context(|| format!("there is no key {id} in {}: `keys list` shows them", path.display()))?;
    replace(path, &text)?;
    Ok(format!("revoked {id}\n"))
}

/// The file's text once a key has ended at `now`, in Unix seconds; `None` where it has no such key.
pub(super) fn revoked(text: &str, id: &str, now: u64) -> anyhow::Result<Option<String>> {
    let mut found = false;
    let mut revoked = String::with_capacity(text.len());
    for whole in text.split_inclusive('\n') {
        let line = whole.trim_end_matches(['\r', '\n']);
        let record =
            if is_for_people(line) { None } else { Some(Record::parse(line).map_err(anyhow::Error::msg)?) };
        match record {
            Some(record) if record.id == id => {
                anyhow::ensure!(record.revoked.is_none(), "the key {id} is revoked already");
                found = true;
                let record = Record { revoked: Some(now), ..record };
                revoked.push_str(&serde_json::to_string(&record)?);
                revoked.push_str(&whole[line.len()..]);
            }
            _ => revoked.push_str(whole),
        }
    }
    Ok(found.then_some(revoked))
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("the key file {} cannot be read", path.display()))
}

/// Puts a new file in the old one's place. What a router would not read is not written.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    Ring::parse(text).map_err(|error| anyhow::anyhow!("{} would be bad: {error}", path.display()))?;
    let fails = || format!("the key file {} cannot be written", path.display());
    // A link stays one: what it leads to is replaced.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().with_context(fails)?.to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = write_private(&beside, text).and_then(|()| {
        if let Ok(about) = fs::metadata(path) {
            fs::set_permissions(&beside, about.permissions())?;
        }
        fs::rename(&beside, path)
    });
    if written.is_err() {
        // What was begun is of no use to anybody.
        let _ = fs::remove_file(&beside);
    }
    written.with_context(fails)
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(tenant: &str) -> MakeFlags {
        MakeFlags {
            tenant: tenant.to_owned(),
            label: None,
            requests_per_minute: Some(60),
            tokens_per_minute: None,
            max_concurrent_requests: None,
            models: vec!["m".to_owned()],
            max_priority: None,
            weight: None,
        }
    }

    #[test]
    fn keys_are_made_listed_and_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let key = make_key(&path, &make("acme")).unwrap();
        fs::write(&path, format!("# ours\n\n{}", fs::read_to_string(&path).unwrap())).unwrap();
        let other = make_key(&path, &make("beta")).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# ours\n\n{") && !text.contains(key.trim()), "{text}");
        let ring = Ring::parse(&text).unwrap();
        let found = ring.find(key.trim()).unwrap();
        assert_eq!((found.tenant.as_str(), found.quota.requests), ("acme", Some(60)));

        revoke(&path, &found.id).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let ring = Ring::parse(&text).unwrap();
        assert!(ring.find(key.trim()).is_none() && ring.find(other.trim()).is_some());
        assert!(text.starts_with("# ours\n\n{"), "{text}");
        let listed = list(&text).unwrap();
        assert!(
            listed.contains("revoked") && listed.contains("active") && listed.contains("beta"),
            "{listed}"
        );
        assert!(!listed.contains(other.trim()));
        assert!(revoke(&path, &found.id).unwrap_err().to_string().contains("already"));
        assert!(revoke(&path, "00000000").unwrap_err().to_string().contains("no key"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn what_is_not_concerned_stays_byte_for_byte() {
        let line = |id: &str| format!(r#"{{"id":"{id}","tenant":"acme","sha256":"{}"}}"#, "0f".repeat(32));
        let (one, other) = (line("00000001"), line("00000002"));
        let text = format!("# ours\r\n{one}\r\n \n{other}");
        let ended = other.replace('}', r#","revoked":7}"#);
        assert_eq!(revoked(&text, "00000002", 7).unwrap(), Some(format!("# ours\r\n{one}\r\n \n{ended}")));
        assert_eq!(revoked(&text, "00000003", 7).unwrap(), None);
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_reads_a_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        make_key(&path, &make("acme")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_bad_value_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let bad = MakeFlags { weight: Some(0), ..make("acme") };
        assert!(make_key(&path, &bad).unwrap_err().to_string().contains("weight"));
        assert!(make_key(&path, &make("")).is_err() && !path.exists());
    }
}
