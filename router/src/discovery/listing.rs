//! All backends that the router was told of, and a watch for each: those of flags stay, those of a file or of a name in DNS
//! come and go.

use super::dns::DnsName;
use super::file::{BackendsFile, BadFile};
use super::{Discovery, Target, listed};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// Between two looks at the file and the resolved names.
const INTERVAL: Duration = Duration::from_millis(500);

/// Where the listed backends stand.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Those of the flags.
    pub fixed: Vec<Target>,
    /// `--backends-file`.
    pub file: Option<BackendsFile>,
    /// `--backend-dns`: `host:port` each.
    pub names: Vec<String>,
    /// Slots of a backend behind a name.
    pub slots: u32,
    /// Whether HTTP/2 is spoken to it.
    pub http2: bool,
}

/// The listed backends under watch.
pub struct Listing {
    discovery: Discovery,
    sources: Sources,
    names: Vec<DnsName>,
    /// What the file said when it was last good.
    from_file: Vec<Target>,
    /// What is wrong with the file now, so that it is said once.
    bad_file: Option<BadFile>,
    watched: BTreeMap<String, (Target, AbortOnDropHandle<()>)>,
}

impl Listing {
    /// Begins with what the file said when it was opened: one that has become bad since then changes nothing.
    pub fn new(discovery: Discovery, sources: Sources) -> Self {
        let names: Vec<DnsName> = sources.names.iter().map(|name| DnsName::new(name)).collect();
        let from_file = sources.file.as_ref().map(|file| file.listed.clone()).unwrap_or_default();
        Self { discovery, sources, names, from_file, bad_file: None, watched: BTreeMap::new() }
    }

    /// Looks at each backend once, so that a router serves what it can from its first request on; no longer than `patience`,
    /// for those that do not answer now are looked at again every second.
    pub async fn first_look(&self, patience: Duration) {
        let looks = async {
            join_all(self.names.iter().map(DnsName::resolve)).await;
            let targets = self.targets();
            join_all(targets.values().map(|target| listed::look(&self.discovery, target))).await
        };
        let _in_time = tokio::time::timeout(patience, looks).await;
    }

    /// Watches until the task is dropped.
    pub async fn run(mut self) {
        let _resolving: Vec<AbortOnDropHandle<()>> =
            self.names.iter().map(|name| AbortOnDropHandle::new(tokio::spawn(name.clone().keep()))).collect();
        loop {
            self.align().await;
            tokio::time::sleep(INTERVAL).await;
            self.reload().await;
        }
    }

    /// Takes the file as it is now; one that cannot be used changes nothing.
    async fn reload(&mut self) {
        let Some(file) = &self.sources.file else { return };
        match read(file.clone()).await {
            Ok(targets) => {
                if self.bad_file.take().is_some() || targets != self.from_file {
                    tracing::info!(backends = targets.len(), "the backends file was read again");
                }
                self.from_file = targets;
            }
            Err(error) => {
                if self.bad_file.as_ref() != Some(&error) {
                    tracing::error!(%error, "the backends file cannot be used; what it said before stays in force");
                }
                self.bad_file = Some(error);
            }
        }
    }

    /// What is to be watched, by URL. A backend that stands in several places is taken as the first one has it: flags, file, DNS.
    fn targets(&self) -> BTreeMap<String, Target> {
        let (slots, http2) = (self.sources.slots, self.sources.http2);
        let resolved = self.names.iter().flat_map(DnsName::urls).map(|url| Target::new(url, slots, http2));
        let all = self.sources.fixed.iter().chain(&self.from_file).cloned().chain(resolved);
        let mut targets = BTreeMap::new();
        for target in all {
            targets.entry(target.url.clone()).or_insert(target);
        }
        targets
    }

    /// Ends the watches of backends that have gone from the list or changed in it, and starts those that are missing.
    async fn align(&mut self) {
        let targets = self.targets();
        let stale: Vec<String> = self
            .watched
            .iter()
            .filter(|(url, (watched, _))| targets.get(*url) != Some(watched))
            .map(|(url, _)| url.clone())
            .collect();
        for url in stale {
            let Some((_, watch)) = self.watched.remove(&url) else { continue };
            watch.abort();
            // Only once it has ended can it not enter the backend again.
            let _ended = watch.await;
            if !targets.contains_key(&url) {
                self.discovery.remove(&url).await;
            }
        }
        for (url, target) in targets {
            let discovery = &self.discovery;
            self.watched.entry(url).or_insert_with(|| {
                let watch = tokio::spawn(listed::watch(discovery.clone(), target.clone()));
                (target, AbortOnDropHandle::new(watch))
            });
        }
    }
}

/// Reads a file where that holds nobody up.
async fn read(file: BackendsFile) -> Result<Vec<Target>, BadFile> {
    tokio::task::spawn_blocking(move || file.read())
        .await
        .unwrap_or_else(|error| Err(BadFile::broken(&error)))
}
