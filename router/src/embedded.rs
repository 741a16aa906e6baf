//! Embedded mode: a backend in the router's own process. The one place where the router knows the backend's crate.

use crate::config::Config;
use crate::demo_load::DemoLoad;
use crate::flags::ModelFlags;
use crate::run::Local;
use futures_util::future::FutureExt;
use std::time::Duration;
use tidegate_backend::Backend;
use tidegate_wire::flags::{BadFlags, FlagChecks};
use tokio_util::sync::CancellationToken;

/// A backend that runs in this process.
#[derive(Debug)]
pub struct Embedded {
    backend: Backend,
    values: String,
}

impl Embedded {
    /// Loads the model and starts the engine.
    ///
    /// # Errors
    /// If a flag or the model's folder is no good; the message names it.
    pub fn load(flags: &ModelFlags, config: &Config) -> anyhow::Result<Self> {
        let backend = backend_config(flags, config)?;
        let values = format!(
            "max_concurrent_requests={} model_name={}",
            backend.max_concurrent_requests, backend.model_name
        );
        Ok(Self { backend: Backend::load(&backend, CancellationToken::new())?, values })
    }

    /// What a router runs: the backend's paths, and the watch over its engine.
    pub fn into_local(self) -> Local {
        let service = self.backend.service();
        let demo = DemoLoad::new(self.model_name(), self.embeds(), tidegate_backend::demo_questions());
        let backend = self.backend;
        Local { service, demo, broken: async move { backend.supervise().await.into() }.boxed() }
    }

    /// The name that requests ask for.
    pub fn model_name(&self) -> String {
        self.backend.report().models.into_iter().next().unwrap_or_default()
    }

    /// Whether the model makes embeddings instead of text.
    pub fn embeds(&self) -> bool {
        self.backend.model_info().embedding.is_some()
    }

    /// The backend's values in force, named like their flags.
    pub fn values(&self) -> &str {
        &self.values
    }

    /// What the first lines of the output say about the model.
    pub fn describe(&self) -> String {
        let info = self.backend.model_info();
        format!(
            "{} ({}, {} parameters, {}) on {}",
            self.backend.report().models.join(", "),
            info.architecture,
            info.parameters,
            info.precision(),
            info.device
        )
    }
}

fn backend_config(flags: &ModelFlags, config: &Config) -> Result<tidegate_backend::Config, BadFlags> {
    let mut checks = FlagChecks::new();
    // The router is the one that times requests; the backend's own timeout stands behind it.
    let backend_timeout = config.request_timeout + Duration::from_secs(1);
    let backend =
        tidegate_backend::Config::embedded(flags, backend_timeout, config.reset_interval, &mut checks);
    checks.finish().map(|()| backend)
}
