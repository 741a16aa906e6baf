//! Flags that say who may come in. Secrets are named by files, so that no list of processes shows them.

use clap::Args;

/// Who may come in, and how both sides of a connection know each other.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Security")]
pub struct SecurityFlags {
    /// Certificate, in PEM, with those between it and its authority; clients then speak TLS. Read again when it changes
    #[arg(long, env = "TIDEGATE_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<String>,
    /// Private key of --tls-cert, in PEM
    #[arg(long, env = "TIDEGATE_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<String>,
    /// Authorities whose clients may come in, in PEM; who shows no certificate of theirs gets the probes and nothing else
    #[arg(long, env = "TIDEGATE_CLIENT_CA_FILE", value_name = "FILE")]
    pub client_ca_file: Option<String>,
    /// Tokens, one a line; who shows none of them gets the probes and nothing else. Read again when it changes
    #[arg(long, env = "TIDEGATE_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<String>,
    /// Password for Redis; the user stands in --redis-url
    #[arg(long, env = "TIDEGATE_REDIS_PASSWORD_FILE", value_name = "FILE")]
    pub redis_password_file: Option<String>,
    /// Authorities of a Redis at rediss://, in PEM [default: the system's]
    #[arg(long, env = "TIDEGATE_REDIS_CA_FILE", value_name = "FILE")]
    pub redis_ca_file: Option<String>,
    /// Certificate that this process shows to Redis, in PEM
    #[arg(long, env = "TIDEGATE_REDIS_CLIENT_CERT", value_name = "FILE")]
    pub redis_client_cert: Option<String>,
    /// Private key of --redis-client-cert, in PEM
    #[arg(long, env = "TIDEGATE_REDIS_CLIENT_KEY", value_name = "FILE")]
    pub redis_client_key: Option<String>,
    /// Connections, in all
    #[arg(
        long,
        env = "TIDEGATE_MAX_CONNECTIONS",
        value_name = "N",
        default_value = "16384",
        allow_negative_numbers = true
    )]
    pub max_connections: String,
    /// Connections from one address, or from one /64 of IPv6
    #[arg(
        long,
        env = "TIDEGATE_MAX_CONNECTIONS_PER_ADDRESS",
        value_name = "N",
        default_value = "4096",
        allow_negative_numbers = true
    )]
    pub max_connections_per_address: String,
}
