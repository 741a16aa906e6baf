//! What the flags about security come to: files that were read, and are read again when they change.

use crate::flags::SecurityFlags;
use std::net::IpAddr;
use std::path::Path;
use tidegate_serve::crowd::ConnectionLimits;
use tidegate_serve::from_files::{FileError, FromFiles};
use tidegate_serve::tls::{self, ClientFiles, ClientTls, ServerFiles, ServerTls};
use tidegate_serve::token::{self, Tokens};
use tidegate_store::{Address, AddressFiles};
use tidegate_wire::flags::{FlagChecks, file};

/// Who may come in, and how both sides of a connection know each other. Shows the names of files, never what they hold.
#[derive(Debug, Clone)]
pub struct Security {
    /// What clients are shown; none where they speak plain HTTP.
    pub tls: Option<ServerTls>,
    /// How many connections clients may have.
    pub connections: ConnectionLimits,
    /// What operators must show; nothing on a loopback address unless it was asked for.
    pub admin_tokens: Option<FromFiles<Tokens>>,
    /// Whether operators come from other machines.
    pub admin_open: bool,
    /// How backends at `https://` are known, and what they are shown. None where the files could not be used.
    pub backend_tls: Option<ClientTls>,
    /// What backends are shown in place of what clients show.
    pub backend_keys: Option<FromFiles<Tokens>>,
}

impl Security {
    /// Reads all files that the flags name.
    pub(super) fn check(checks: &mut FlagChecks, flags: &SecurityFlags, admin_host: IpAddr) -> Self {
        let admin_open = !admin_host.to_canonical().is_loopback();
        let admin_tokens = tokens(checks, "admin-token-file", flags.admin_token_file.as_deref(), token::open);
        if admin_open && file(flags.admin_token_file.as_deref()).is_none() {
            let accepted = "a loopback address, or --admin-token-file beside it: whoever reaches the admin port sees the whole \
                            fleet and may send requests";
            checks.refuse("admin-host", &admin_host.to_string(), accepted);
        }
        Self {
            tls: server_tls(checks, flags),
            connections: ConnectionLimits {
                total: checks.whole("max-connections", &flags.max_connections, 1..=10_000_000),
                per_address: checks.whole(
                    "max-connections-per-address",
                    &flags.max_connections_per_address,
                    1..=10_000_000,
                ),
            },
            admin_tokens,
            admin_open,
            backend_tls: backend_tls(checks, flags),
            backend_keys: tokens(
                checks,
                "backend-api-key-file",
                flags.backend_api_key_file.as_deref(),
                token::open_shown,
            ),
        }
    }

    /// What operators are shown: the same as clients, where they come from other machines.
    pub fn admin_tls(&self) -> Option<ServerTls> {
        self.tls.clone().filter(|_| self.admin_open)
    }

    /// Reads all files again from now on whenever they change.
    pub fn follow(&self) {
        self.tls.iter().for_each(ServerTls::follow);
        self.backend_tls.iter().for_each(FromFiles::follow);
        self.admin_tokens.iter().chain(&self.backend_keys).for_each(FromFiles::follow);
    }
}

/// The address of Redis with what stands in files.
pub(super) fn redis_address(checks: &mut FlagChecks, url: &str, flags: &SecurityFlags) -> Option<Address> {
    let address = match tidegate_store::address(url) {
        Ok(address) => address,
        Err(error) => {
            // It may hold a password: nothing of it is repeated.
            let accepted =
                format!("a URL such as redis://127.0.0.1:6379 or rediss://user@redis.example:6380 ({error})");
            checks.refuse("redis-url", "...", accepted);
            return None;
        }
    };
    let files = AddressFiles {
        password: file(flags.redis_password_file.as_deref()),
        ca: file(flags.redis_ca_file.as_deref()),
        identity: checks.identity(
            "redis-client-cert",
            flags.redis_client_cert.as_deref(),
            flags.redis_client_key.as_deref(),
        ),
    };
    match address.with(&files) {
        Ok(address) => Some(address),
        Err(error) => {
            checks.refuse("redis-url", "...", format_args!("files that fit it ({error})"));
            None
        }
    }
}

fn server_tls(checks: &mut FlagChecks, flags: &SecurityFlags) -> Option<ServerTls> {
    let (cert, key) = checks.identity("tls-cert", flags.tls_cert.as_deref(), flags.tls_key.as_deref())?;
    let shown = cert.display().to_string();
    ServerTls::open(ServerFiles { cert, key, client_ca: None })
        .map_err(|error| {
            checks.refuse("tls-cert", &shown, format_args!("a certificate and its key in PEM ({error})"));
        })
        .ok()
}

fn backend_tls(checks: &mut FlagChecks, flags: &SecurityFlags) -> Option<ClientTls> {
    let identity = checks.identity(
        "backend-client-cert",
        flags.backend_client_cert.as_deref(),
        flags.backend_client_key.as_deref(),
    );
    let ca = file(flags.backend_ca_file.as_deref());
    let flag = if ca.is_some() { "backend-ca-file" } else { "backend-client-cert" };
    let shown =
        ca.as_ref().or(identity.as_ref().map(|(cert, _)| cert)).map(|path| path.display().to_string());
    tls::open_client(ClientFiles { ca, identity })
        .map_err(|error| {
            checks.refuse(flag, &shown.unwrap_or_default(), format_args!("certificates in PEM ({error})"));
        })
        .ok()
}

fn tokens(
    checks: &mut FlagChecks,
    flag: &str,
    file: Option<&str>,
    open: fn(&Path) -> Result<FromFiles<Tokens>, FileError>,
) -> Option<FromFiles<Tokens>> {
    let file = file.filter(|file| !file.is_empty())?;
    open(file.as_ref())
        .map_err(|error| checks.refuse(flag, file, format_args!("a file with one token a line ({error})")))
        .ok()
}
