//! Backends behind a name in DNS (`--backend-dns host:port`): each address of the name is one, as a headless Service of
//! Kubernetes has it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::lookup_host;

/// Between two questions. The system's resolver and its servers keep answers as long as the records say.
const INTERVAL: Duration = Duration::from_secs(1);

/// The addresses of one name, as they were last resolved. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct DnsName {
    /// `host:port`.
    name: String,
    addresses: Arc<Mutex<BTreeSet<SocketAddr>>>,
}

impl DnsName {
    /// A name that has not been resolved yet.
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), addresses: Arc::default() }
    }

    /// Asks once. Where that fails the addresses that are known stay: a resolver that is away takes no backend with it.
    ///
    /// # Errors
    /// What the resolver says.
    pub(super) async fn resolve(&self) -> Result<(), String> {
        let found = lookup_host(&self.name).await.map_err(|error| error.to_string())?;
        let found: BTreeSet<SocketAddr> = found.collect();
        if found.is_empty() {
            return Err("the name has no address".to_owned());
        }
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner) = found;
        Ok(())
    }

    /// Asks again and again until the task is dropped.
    pub(super) async fn keep(self) {
        let mut fails = false;
        loop {
            match self.resolve().await {
                Ok(()) => fails = false,
                Err(error) if !fails => {
                    fails = true;
                    tracing::warn!(name = %self.name, error, "a name of backends cannot be resolved; those known are kept");
                }
                Err(_) => {}
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Base URLs of the backends behind the name.
    pub(super) fn urls(&self) -> Vec<String> {
        let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        addresses.iter().map(|address| format!("http://{address}")).collect()
    }
}

/// Whether a text is `host:port`.
pub fn is_name(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_address_is_a_backend_and_a_failure_keeps_them() {
        let mut name = DnsName::new("127.0.0.1:8100");
        name.resolve().await.unwrap();
        assert_eq!(name.urls(), ["http://127.0.0.1:8100"]);
        name.name = "no-such-host.invalid:8100".to_owned();
        assert!(name.resolve().await.is_err());
        assert_eq!(name.urls(), ["http://127.0.0.1:8100"]);
        let six = DnsName::new("[::1]:8100");
        six.resolve().await.unwrap();
        assert_eq!(six.urls(), ["http://[::1]:8100"]);
    }

    #[test]
    fn a_name_has_a_host_and_a_port() {
        for good in ["llm.svc:8000", "10.0.0.1:80", "[::1]:8100"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["llm.svc", "http://llm:8000", ":8000", "llm:0", "llm:http", "llm:8000/v1"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
