//! What the flags about security come to: files that were read, and are read again when they change.

use super::flags::SecurityFlags;
use std::path::PathBuf;
use tidegate_serve::{
    crowd::ConnectionLimits,
    gate::Gate,
    tls::{ServerFiles, ServerTls},
    token,
};
use tidegate_store::{Address, AddressFiles};
use tidegate_wire::flags::{FlagChecks, file};

/// Who may come in. Shows the names of files, never what they hold.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// What clients are shown; none where they speak plain HTTP.
    pub tls: Option<ServerTls>,
    /// What clients must show.
    pub gate: Gate,
    /// How many connections there may be.
    pub connections: ConnectionLimits,
}

impl Security {
    /// Reads all files that the flags name.
    pub(super) fn check(checks: &mut FlagChecks, flags: &SecurityFlags) -> Self {
        let client_ca = file(flags.client_ca_file.as_deref());
        if client_ca.is_some() && file(flags.tls_cert.as_deref()).is_none() {
            checks.refuse(
                "client-ca-file",
                flags.client_ca_file.as_deref().unwrap_or_default(),
                "--tls-cert beside it: only TLS shows certificates",
            );
        }
        let file = flags.token_file.as_deref().filter(|file| !file.is_empty());
        let tokens = file.and_then(|file| {
            let refused = |error| {
                checks.refuse("token-file", file, format_args!("a file with one token a line ({error})"));
            };
            token::open(file.as_ref()).map_err(refused).ok()
        });
        Self {
            gate: Gate { tokens, certificate: client_ca.is_some() },
            tls: server_tls(checks, flags, client_ca),
            connections: ConnectionLimits {
                total: checks.whole("max-connections", &flags.max_connections, 1..=10_000_000),
                per_address: checks.whole(
                    "max-connections-per-address",
                    &flags.max_connections_per_address,
                    1..=10_000_000,
                ),
            },
        }
    }

    /// Reads all files again from now on whenever they change.
    pub fn follow(&self) {
        self.tls.iter().for_each(ServerTls::follow);
        self.gate.tokens.iter().for_each(tidegate_serve::from_files::FromFiles::follow);
    }
}

/// The address of Redis with what stands in files.
pub(super) fn redis_address(checks: &mut FlagChecks, url: &str, flags: &SecurityFlags) -> Option<Address> {
    let files = AddressFiles {
        password: file(flags.redis_password_file.as_deref()),
        ca: file(flags.redis_ca_file.as_deref()),
        identity: checks.identity(
            "redis-client-cert",
            flags.redis_client_cert.as_deref(),
            flags.redis_client_key.as_deref(),
        ),
    };
    // The URL may hold a password: nothing of it is repeated.
    tidegate_store::address(url)
        .and_then(|address| address.with(&files))
        .map_err(|error| {
            let accepted = format!(
                "a URL that begins with redis://, rediss:// or unix://, and files that fit it ({error})"
            );
            checks.refuse("redis-url", "...", accepted);
        })
        .ok()
}

fn server_tls(
    checks: &mut FlagChecks,
    flags: &SecurityFlags,
    client_ca: Option<PathBuf>,
) -> Option<ServerTls> {
    let (cert, key) = checks.identity("tls-cert", flags.tls_cert.as_deref(), flags.tls_key.as_deref())?;
    let shown = cert.display().to_string();
    ServerTls::open(ServerFiles { cert, key, client_ca })
        .map_err(|error| {
            checks.refuse("tls-cert", &shown, format_args!("certificates and a key in PEM ({error})"));
        })
        .ok()
}
