//! The router as a proxy: its flags, checked.

use crate::flags::ProxyFlags;
use crate::names::Names;
use http::{HeaderValue, Uri};
use std::time::Duration;
use tidegate_serve::listen::Patience;
use tidegate_wire::flags::FlagChecks;

/// A day: the longest time that any of these flags takes.
const DAY: f64 = 86_400.0;

/// How this router behaves towards backends and clients, beside admission.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Further names of models, and models that serve instead of others.
    pub names: Names,
    /// Patience with backends.
    pub backends: BackendPatience,
    /// `--backend-http2`: HTTP/2 is spoken to every backend whose entry in a file says nothing else.
    pub backend_http2: bool,
    /// Patience with clients.
    pub clients: Patience,
    /// Whose pages may call from a browser; none where it is empty.
    pub origins: Vec<HeaderValue>,
    /// Time for which a router that was asked to end serves on.
    pub drain_delay: Duration,
}

/// How long the router waits for a backend. `None` sets no limit of its own: the request's deadline holds in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackendPatience {
    /// Until a connection is open.
    pub connect: Duration,
    /// From sending a request to the head of its answer.
    pub first_byte: Option<Duration>,
    /// Between two pieces of an answer.
    pub idle: Option<Duration>,
    /// How long an unused connection is kept.
    pub keep_alive: Duration,
}

impl Proxy {
    /// Reads and checks the flags; what is wrong goes to `checks`.
    pub fn check(checks: &mut FlagChecks, flags: &ProxyFlags) -> Self {
        let backends = BackendPatience {
            connect: checks.seconds("connect-timeout", &flags.connect_timeout, 0.01..=DAY),
            first_byte: limit(checks, "first-byte-timeout", &flags.first_byte_timeout),
            idle: limit(checks, "idle-timeout", &flags.idle_timeout),
            keep_alive: checks.seconds("backend-keep-alive", &flags.backend_keep_alive, 0.0..=DAY),
        };
        let clients = Patience {
            head: checks.seconds("client-keep-alive", &flags.client_keep_alive, 0.1..=DAY),
            write: checks.seconds("client-write-timeout", &flags.client_write_timeout, 0.1..=DAY),
            ..Patience::default()
        };
        Self {
            names: Names::check(checks, &flags.model_alias, &flags.fallback),
            backends,
            backend_http2: flags.backend_http2,
            clients,
            origins: flags.cors_origin.iter().filter_map(|text| origin(checks, text)).collect(),
            drain_delay: checks.seconds("drain-delay", &flags.drain_delay, 0.0..=DAY),
        }
    }
}

/// A limit that 0 lifts.
fn limit(checks: &mut FlagChecks, flag: &str, text: &str) -> Option<Duration> {
    Some(checks.seconds(flag, text, 0.0..=DAY)).filter(|limit| !limit.is_zero())
}

/// An origin as browsers send it: scheme and host, with the port where it is not the scheme's own, or `*`.
fn origin(checks: &mut FlagChecks, text: &str) -> Option<HeaderValue> {
    let text = text.trim_end_matches('/');
    let is_origin = |uri: Uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && uri.path() == "/"
            && uri.query().is_none()
    };
    if text == "*" || text.parse::<Uri>().is_ok_and(is_origin) {
        return HeaderValue::try_from(text.to_ascii_lowercase()).ok();
    }
    checks.refuse("cors-origin", text, "an origin such as https://chat.example.org, or *");
    None
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::flags::Flags;
    use clap::Parser;
    use std::time::Duration;
    use tidegate_wire::flags::BadFlags;

    fn check(args: &[&str]) -> Result<super::Proxy, BadFlags> {
        let args = std::iter::once("tidegate-router").chain(args.iter().copied());
        Config::check(&Flags::parse_from(args)).map(|config| config.proxy)
    }

    #[test]
    fn what_would_cut_a_long_answer_is_off_by_default() {
        let proxy = check(&[]).unwrap();
        assert_eq!((proxy.backends.first_byte, proxy.backends.idle), (None, None));
        assert_eq!((proxy.backends.connect, proxy.clients.head.as_secs()), (Duration::from_secs(2), 75));
        assert!(proxy.origins.is_empty());
        let limited = check(&["--first-byte-timeout", "1.5", "--idle-timeout=3"]).unwrap().backends;
        assert_eq!(
            (limited.first_byte, limited.idle),
            (Some(Duration::from_millis(1500)), Some(Duration::from_secs(3)))
        );
    }

    #[test]
    fn origins_are_those_that_browsers_send() {
        let origins =
            check(&["--cors-origin", "https://Chat.example.org/,http://127.0.0.1:8080"]).unwrap().origins;
        assert_eq!(origins, ["https://chat.example.org", "http://127.0.0.1:8080"]);
        for bad in ["chat.example.org", "https://a/b", "ftp://a", "https://u@a", "null"] {
            assert!(check(&["--cors-origin", bad]).is_err(), "{bad}");
        }
    }
}
