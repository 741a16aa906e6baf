//! Flags that say who may come in, and how both sides of a connection know each other. Secrets are named by files, so that no list of
//! processes shows them.

use clap::Args;

/// Who may come in, and how both sides of a connection know each other.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Security")]
pub struct SecurityFlags {
    /// Certificate for clients, in PEM, with those between it and its authority; clients then speak TLS, and operators too
    /// where --admin-host is no loopback address. Read again when it changes.
    #[arg(long, env = "TIDEGATE_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<String>,
    /// Private key of --tls-cert, in PEM.
    #[arg(long, env = "TIDEGATE_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<String>,
    /// Tokens of operators, one a line; needed where --admin-host is no loopback address. Read again when it changes.
    #[arg(long, env = "TIDEGATE_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub admin_token_file: Option<String>,
    /// Authorities of backends at https://, in PEM [default: the system's]
    #[arg(long, env = "TIDEGATE_BACKEND_CA_FILE", value_name = "FILE")]
    pub backend_ca_file: Option<String>,
    /// Certificate that this router shows to backends, in PEM.
    #[arg(long, env = "TIDEGATE_BACKEND_CLIENT_CERT", value_name = "FILE")]
    pub backend_client_cert: Option<String>,
    /// Private key of --backend-client-cert, in PEM.
    #[arg(long, env = "TIDEGATE_BACKEND_CLIENT_KEY", value_name = "FILE")]
    pub backend_client_key: Option<String>,
    /// Key that backends want, in place of the client's Authorization: the first line of the file. Read again when it
    /// changes.
    #[arg(long, env = "TIDEGATE_BACKEND_API_KEY_FILE", value_name = "FILE")]
    pub backend_api_key_file: Option<String>,
    /// Password for Redis; the user stands in --redis-url.
    #[arg(long, env = "TIDEGATE_REDIS_PASSWORD_FILE", value_name = "FILE")]
    pub redis_password_file: Option<String>,
    /// Authorities of a Redis at rediss://, in PEM [default: the system's]
    #[arg(long, env = "TIDEGATE_REDIS_CA_FILE", value_name = "FILE")]
    pub redis_ca_file: Option<String>,
    /// Certificate that this process shows to Redis, in PEM.
    #[arg(long, env = "TIDEGATE_REDIS_CLIENT_CERT", value_name = "FILE")]
    pub redis_client_cert: Option<String>,
    /// Private key of --redis-client-cert, in PEM.
    #[arg(long, env = "TIDEGATE_REDIS_CLIENT_KEY", value_name = "FILE")]
    pub redis_client_key: Option<String>,
    /// Connections of clients, in all.
    #[arg(long, env = "TIDEGATE_MAX_CONNECTIONS", value_name = "N", default_value = "16384")]
    pub max_connections: String,
    /// Connections of clients from one address, or from one /64 of IPv6. A load balancer is one address.
    #[arg(long, env = "TIDEGATE_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N", default_value = "4096")]
    pub max_connections_per_address: String,
}
