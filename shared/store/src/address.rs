//! Where Redis is, as whom it is asked, and by which certificates both sides know each other. Nothing here shows a secret.

use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError,
    RedisResult, TlsCertificates,
};
use std::fmt;
use std::path::{Path, PathBuf};

/// Where Redis is, and how it is asked. It is shown without user and password.
#[derive(Clone)]
pub struct Address {
    info: ConnectionInfo,
    certificates: Option<TlsCertificates>,
}

/// Files that hold what a URL does not.
#[derive(Debug, Clone, Default)]
pub struct AddressFiles {
    /// The password; one at the end of a line.
    pub password: Option<PathBuf>,
    /// The authorities whose servers are known, in PEM; the system's where none is given.
    pub ca: Option<PathBuf>,
    /// What this client shows: its certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Reads an address such as `redis://127.0.0.1:6379` or, with TLS, `rediss://user:password@redis.example:6380`.
///
/// # Errors
/// Text that is no address of a Redis. The error repeats none of it.
pub fn address(url: &str) -> RedisResult<Address> {
    let info = url.into_connection_info()?;
    // What cannot be opened is no address either, such as an unknown scheme.
    Client::open(info.clone())?;
    Ok(Address { info, certificates: None })
}

impl Address {
    /// Reads the files that belong to it.
    ///
    /// # Errors
    /// If one cannot be read, a password is not text, or there are certificates for an address without TLS. The error names the
    /// file and repeats nothing of it.
    pub fn with(mut self, files: &AddressFiles) -> RedisResult<Self> {
        if let Some(path) = &files.password {
            let text = String::from_utf8(read(path)?).map_err(|_| refused(path, "not a text"))?;
            let password = text.trim_end_matches(['\r', '\n']);
            let settings = self.info.redis_settings().clone().set_password(password);
            self.info = self.info.set_redis_settings(settings);
        }
        if files.ca.is_none() && files.identity.is_none() {
            return Ok(self);
        }
        let client_tls = files.identity.as_ref().map(|(cert, key)| {
            RedisResult::Ok(ClientTlsConfig { client_cert: read(cert)?, client_key: read(key)? })
        });
        let root_cert = files.ca.as_ref().map(|ca| read(ca));
        let certificates =
            TlsCertificates { client_tls: client_tls.transpose()?, root_cert: root_cert.transpose()? };
        Client::build_with_tls(self.info.clone(), certificates.clone())?;
        self.certificates = Some(certificates);
        Ok(self)
    }

    /// Host and port, or the file of a socket.
    pub fn addr(&self) -> &ConnectionAddr {
        self.info.addr()
    }

    pub(crate) fn parts(self) -> (ConnectionInfo, Option<TlsCertificates>) {
        (self.info, self.certificates)
    }
}

fn read(path: &Path) -> RedisResult<Vec<u8>> {
    std::fs::read(path).map_err(|error| refused(path, &error.to_string()))
}

fn refused(path: &Path, why: &str) -> RedisError {
    RedisError::from((
        ErrorKind::InvalidClientConfig,
        "a file is of no use",
        format!("{}: {why}", path.display()),
    ))
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.info.addr() {
            ConnectionAddr::TcpTls { host, port, .. } => write!(out, "rediss://{host}:{port}"),
            ConnectionAddr::Unix(path) => write!(out, "unix://{}", path.display()),
            other => write!(out, "redis://{other}"),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.info.addr() == other.info.addr()
    }
}

impl Eq for Address {}

/// What an address can be made of.
pub trait IntoAddress {
    /// The address.
    ///
    /// # Errors
    /// Text that is none.
    fn into_address(self) -> RedisResult<Address>;
}

impl IntoAddress for Address {
    fn into_address(self) -> RedisResult<Address> {
        Ok(self)
    }
}

impl IntoAddress for &Address {
    fn into_address(self) -> RedisResult<Address> {
        Ok(self.clone())
    }
}

impl IntoAddress for &str {
    fn into_address(self) -> RedisResult<Address> {
        address(self)
    }
}

impl IntoAddress for &String {
    fn into_address(self) -> RedisResult<Address> {
        address(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_shows_neither_user_nor_password() {
        for (url, shown) in [
            ("redis://hidden:secret@h:1/0", "redis://h:1"),
            ("rediss://:secret@h:2", "rediss://h:2"),
            ("unix:///run/redis.sock?pass=secret", "unix:///run/redis.sock"),
        ] {
            let address = address(url).unwrap();
            assert_eq!((address.to_string().as_str(), format!("{address:?}").as_str()), (shown, shown));
        }
    }

    #[test]
    fn what_is_no_address_is_not_repeated() {
        for url in ["http://hidden:secret@h", "redis://hidden:secret@", "secret", "redis://:secret@h:x"] {
            let error = address(url).unwrap_err().to_string();
            assert!(!error.contains("secret") && !error.contains("hidden"), "{error}");
        }
    }

    #[test]
    fn the_password_is_read_from_its_file_and_certificates_need_tls() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, " pass word\r\n").unwrap();
        let files = AddressFiles { password: Some(path), ..AddressFiles::default() };
        let address = address("redis://user@h:1").unwrap().with(&files).unwrap();
        let settings = address.info.redis_settings();
        assert_eq!((settings.username(), settings.password()), (Some("user"), Some(" pass word")));
        let ca = AddressFiles { ca: Some("/no/such/file".into()), ..AddressFiles::default() };
        let error = super::address("rediss://h:1").unwrap().with(&ca).unwrap_err().to_string();
        assert!(error.contains("/no/such/file"), "{error}");
        let empty = folder.path().join("ca.pem");
        std::fs::write(&empty, "").unwrap();
        let ca = AddressFiles { ca: Some(empty), ..AddressFiles::default() };
        let error = super::address("redis://h:1").unwrap().with(&ca).unwrap_err().to_string();
        assert!(error.contains("rediss://"), "{error}");
    }
}
