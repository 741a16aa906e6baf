//! What happens between checked flags and the first request: the embedded backend is loaded, and people are told what
//! runs.

use crate::config::{Config, Fleet};
use crate::flags::{Flags, ModelFlags};
use crate::run::{Listeners, Local};
use std::net::SocketAddr;
use tidegate_serve::tls::ServerTls;

/// What the start has made.
pub struct Started {
    /// The embedded backend, where there is one.
    pub local: Option<Local>,
    /// The first lines of the output on a terminal.
    pub banner: String,
}

/// Loads what runs in this process, and logs the values in force.
///
/// # Errors
/// If the model cannot be loaded, or this build has no embedded backend and was given no other.
pub fn prepare(flags: &Flags, config: &Config, listeners: &Listeners) -> anyhow::Result<Started> {
    let (client, admin) = (listeners.client.local_addr()?, listeners.admin.local_addr()?);
    let (local, example, runs) = match &config.fleet {
        Fleet::Embedded => {
            let embedded = load_embedded(&flags.model, config)?;
            tracing::info!("values in force: {config} {}", embedded.values);
            (Some(embedded.local), Some(example(&embedded.model, embedded.embeds)), embedded.runs)
        }
        Fleet::Static => (None, None, format!("router for {}", listed(config))),
        Fleet::Redis { address, prefix } => (None, None, format!("router on {address} (prefix {prefix})")),
    };
    if config.fleet != Fleet::Embedded {
        tracing::info!("values in force: {config}");
    }
    if config.fleet != Fleet::Embedded && is_given(&flags.model) {
        tracing::warn!(
            "the backend's flags (--model and others) do nothing here: this router is not embedded"
        );
    }
    if config.api_keys_file.is_none() && !client.ip().is_loopback() {
        tracing::warn!(
            "whoever reaches {client} may use this fleet: --api-keys-file lets in only those who show a key"
        );
    }
    let (client, admin) = (url(client, &config.security.tls), url(admin, &config.security.admin_tls()));
    warn_of_what_is_open(flags, config);
    tracing::info!(
        clients = client,
        operators = admin,
        version = env!("CARGO_PKG_VERSION"),
        "listening: {runs}"
    );
    Ok(Started { local, banner: banner(&runs, example, &client, &admin) })
}

/// Whether something stands before a URL's host that is more than a user's name.
fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.contains("pass=") || rest.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

fn url(address: SocketAddr, tls: &Option<ServerTls>) -> String {
    let scheme = if tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{address}")
}

/// Says what an operator may have overlooked.
fn warn_of_what_is_open(flags: &Flags, config: &Config) {
    let shown = |url: &String| std::env::args().any(|arg| arg.contains(url.as_str()));
    if flags.redis_url.as_ref().is_some_and(|url| has_password(url) && shown(url)) {
        tracing::warn!(
            "the password in --redis-url stands in the list of processes: give it in --redis-password-file or TIDEGATE_REDIS_URL"
        );
    }
    if config.security.admin_open && config.security.tls.is_none() {
        tracing::warn!(
            "the admin port is open to other machines without TLS: whoever listens on the way learns its token"
        );
    }
}

/// Where the listed backends come from, for people.
fn listed(config: &Config) -> String {
    let names = config.backend_dns.iter().map(|name| format!("all of {name}"));
    let file = config.backends_file.as_ref().map(|file| format!("those in {}", file.path.display()));
    config.backends.iter().cloned().chain(names).chain(file).collect::<Vec<_>>().join(", ")
}

/// A call that the model answers: its path and its body.
type Example = (&'static str, String);

fn example(model: &str, embeds: bool) -> Example {
    if embeds {
        return ("/v1/embeddings", format!("{{\"model\": \"{model}\", \"input\": \"What is 17 + 25?\"}}"));
    }
    let messages = "[{\"role\": \"user\", \"content\": \"What is 17 + 25?\"}]";
    ("/v1/chat/completions", format!("{{\"model\": \"{model}\", \"messages\": {messages}}}"))
}

fn banner(runs: &str, example: Option<Example>, base: &str, admin: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!("tidegate {version}: {runs}\n  clients    {base}/v1\n  operators  {admin}/\n");
    if let Some((path, body)) = example {
        text.push_str(&format!(
            "\nTry it:\n  curl {base}{path} -H 'content-type: application/json' \\\n    -d '{body}'\n"
        ));
    } else {
        text.push_str(&format!("\nTry it:\n  curl {base}/v1/models\n"));
    }
    text
}

/// The embedded backend, as far as the start needs it.
struct Loaded {
    local: Local,
    model: String,
    embeds: bool,
    runs: String,
    values: String,
}

#[cfg(feature = "embedded")]
fn load_embedded(flags: &ModelFlags, config: &Config) -> anyhow::Result<Loaded> {
    let embedded = crate::embedded::Embedded::load(flags, config)?;
    Ok(Loaded {
        model: embedded.model_name(),
        embeds: embedded.embeds(),
        runs: embedded.describe(),
        values: embedded.values().to_owned(),
        local: embedded.into_local(),
    })
}

#[cfg(not(feature = "embedded"))]
fn load_embedded(_flags: &ModelFlags, _config: &Config) -> anyhow::Result<Loaded> {
    anyhow::bail!("this build has no embedded backend: pass --redis-url URL or --backend URL")
}

#[cfg(feature = "embedded")]
fn is_given(flags: &ModelFlags) -> bool {
    flags.model.is_some() || flags.model_name.is_some()
}

#[cfg(not(feature = "embedded"))]
fn is_given(flags: &ModelFlags) -> bool {
    let ModelFlags {
        model,
        model_name,
        max_concurrent_requests,
        device,
        dtype,
        quantize,
        max_model_len,
        kv_cache_memory,
        max_batch_tokens,
        engine_stall_timeout,
    } = flags;
    let how = [device, dtype, quantize, max_model_len];
    let engine = [kv_cache_memory, max_batch_tokens, engine_stall_timeout];
    let what = [model, model_name, max_concurrent_requests];
    how.iter().chain(&engine).chain(&what).any(|flag| flag.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_gives_a_line_to_paste() {
        let address = "http://127.0.0.1:8000";
        let text = banner("embedded", Some(example("m", false)), address, address);
        assert!(text.contains("curl http://127.0.0.1:8000/v1/chat/completions"), "{text}");
        assert!(text.contains("\"model\": \"m\""), "{text}");
        let text = banner("embedded", Some(example("m", true)), address, address);
        assert!(text.contains("curl http://127.0.0.1:8000/v1/embeddings"), "{text}");
    }
}
