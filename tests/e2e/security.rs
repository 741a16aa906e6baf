//! Who may come in, and what strangers can do: TLS, tokens, secrets, hostile clients and backends. Real processes, real sockets, a real
//! Redis. `docs/threat-model.md` says which test shows what.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its scene should stop at once, loudly")]

#[path = "security/admin.rs"]
mod admin;
#[path = "security/alpn.rs"]
mod alpn;
#[path = "security/floods.rs"]
mod floods;
#[path = "security/http2.rs"]
mod http2;
#[path = "security/paths.rs"]
mod paths;
#[path = "security/scene.rs"]
mod scene;
#[path = "security/secrets.rs"]
mod secrets;
#[path = "security/tls.rs"]
mod tls;
