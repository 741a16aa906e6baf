//! The command line of the router as a proxy: names of models, timeouts, browsers, the end.

/// Flags of the router as a proxy.
#[derive(Debug, clap::Args)]
pub struct ProxyFlags {
    /// Further name of a model, as PUBLIC=REAL: requests for PUBLIC go to REAL, whose name stands in the body that the
    /// backend gets. Repeat it for several.
    #[arg(long, env = "TIDEGATE_MODEL_ALIAS", value_delimiter = ',', help_heading = "Fleet")]
    pub model_alias: Vec<String>,
    /// Model that serves instead of another one that is full or down, as BIG=SMALL; the answer says so in
    /// x-tidegate-fallback. Repeated for one model, they are tried in their order.
    #[arg(long, env = "TIDEGATE_FALLBACK", value_delimiter = ',', help_heading = "Fleet")]
    pub fallback: Vec<String>,
    /// Speaks HTTP/2 to backends: over TLS where they choose it, else by prior knowledge. An entry of --backends-file can say
    /// otherwise.
    #[arg(long, env = "TIDEGATE_BACKEND_HTTP2", help_heading = "Fleet")]
    pub backend_http2: bool,

    /// Seconds that a connection to a backend may take to open.
    #[arg(long, env = "TIDEGATE_CONNECT_TIMEOUT", default_value = "2", help_heading = "Timeouts")]
    pub connect_timeout: String,
    /// Seconds from sending a request to the head of its answer; 0 sets no limit of its own. An answer that is not
    /// streamed has its head at its end.
    #[arg(long, env = "TIDEGATE_FIRST_BYTE_TIMEOUT", default_value = "0", help_heading = "Timeouts")]
    pub first_byte_timeout: String,
    /// Seconds of silence within a backend's answer after which it is given up; 0 sets no limit.
    #[arg(long, env = "TIDEGATE_IDLE_TIMEOUT", default_value = "0", help_heading = "Timeouts")]
    pub idle_timeout: String,
    /// Seconds for which an unused connection to a backend is kept; shorter than the backend's own time.
    #[arg(long, env = "TIDEGATE_BACKEND_KEEP_ALIVE", default_value = "15", help_heading = "Timeouts")]
    pub backend_keep_alive: String,
    /// Seconds that a client may take to send a request's head, and leave a connection unused; longer than the load
    /// balancer's own time.
    #[arg(long, env = "TIDEGATE_CLIENT_KEEP_ALIVE", default_value = "75", help_heading = "Timeouts")]
    pub client_keep_alive: String,
    /// Seconds for which a client may take nothing of what is sent to it before its connection is closed.
    #[arg(long, env = "TIDEGATE_CLIENT_WRITE_TIMEOUT", default_value = "60", help_heading = "Timeouts")]
    pub client_write_timeout: String,

    /// Origin whose pages may call this router from a browser, such as https://chat.example.org, or * for all; repeat it
    /// for several.
    #[arg(long, env = "TIDEGATE_CORS_ORIGIN", value_delimiter = ',', help_heading = "Listening")]
    pub cors_origin: Vec<String>,
    /// Seconds for which a router that was asked to end serves on, while /readyz says that it leaves: load balancers need
    /// some time to look elsewhere.
    #[arg(long, env = "TIDEGATE_DRAIN_DELAY", default_value = "0", help_heading = "Listening")]
    pub drain_delay: String,
}
