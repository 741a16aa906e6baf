//! docs/metrics.md says what the registries show, all of it and nothing else: a table that is not checked rots.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a page that cannot be read should stop the test at once, loudly"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use tidegate_telemetry::metrics::{
    BackendError, BackendMetrics, BackendSample, EngineMetrics, EngineSample, Exposition, FleetSample,
    Format, PoolSample, RouterMetrics, Served,
};

/// The text of a router that has met everything there is.
fn router() -> String {
    let metrics = RouterMetrics::new();
    let second = Duration::from_secs(1);
    let backends = vec![BackendSample { id: "b".to_owned(), state: "live", ..BackendSample::default() }];
    let pool = PoolSample { pool: "m".to_owned(), backends, ..PoolSample::default() };
    metrics.set_fleet(FleetSample { pools: vec![pool], ..FleetSample::default() });
    metrics.answered("m", "/v1/completions", 200, second, None);
    metrics.backend_error("m", "b", BackendError::Timeout);
    metrics.ejected("m", "b");
    metrics.preferred("m", true);
    metrics.ledger().called("admit", second, Some("unavailable"));
    metrics.encode()
}

/// The text of a backend that has met everything there is.
fn backend() -> String {
    let second = Duration::from_secs(1);
    let engine = EngineMetrics::default();
    let model_name = "m".to_owned();
    let metrics = BackendMetrics::new(&Served { model_name, engine, block_tokens: 16, blocks: 1 });
    metrics.set_engine(&EngineSample::default());
    metrics.answered("/v1/completions", "text_completion", 200, second, None);
    metrics.first_token("text_completion", second, None);
    metrics.finished("stop");
    metrics.generated("text_completion", 2, second, None);
    metrics.encode()
}

/// Rows of the table, without their last cell, and what each last cell must begin with.
fn rows(text: &str) -> BTreeSet<(String, String)> {
    // Plain text names counters as their samples are named, which is what people ask for.
    let plain = Exposition::read(text).write(Format::Prometheus);
    let row = |family: &tidegate_telemetry::metrics::MetricFamily<'_>| {
        let sample = family.samples.first().unwrap_or_else(|| panic!("{} was not met", family.name));
        let labels: Vec<String> = sample.pairs().iter().map(|(name, _)| format!("`{name}`")).collect();
        let labels: Vec<String> = labels.into_iter().filter(|name| name != "`le`").collect();
        let cells = format!(
            "| `{}` | {} | {} | {} |",
            family.name,
            family.kind,
            labels.join(", "),
            unit(family.name)
        );
        (cells.replace("  ", " "), family.help.trim_end_matches('.').to_owned())
    };
    Exposition::read(&plain).families.iter().map(row).collect()
}

/// What a value counts, by the convention of its name.
fn unit(name: &str) -> &'static str {
    let name = name.trim_end_matches("_total");
    match name {
        _ if name.ends_with("_seconds") => "s",
        _ if name.ends_with("_bytes") => "B",
        _ if name.ends_with("_info") => "1",
        _ if name.ends_with("per_second") => "1/s",
        _ if name.ends_with("_perc") || name.ends_with("_probability") => "0 to 1",
        _ if name.ends_with("_tokens") || name.contains("prefix_cache") => "tokens",
        _ => "",
    }
}

/// The rows of the page under a heading.
fn documented(page: &str, heading: &str) -> BTreeSet<(String, String)> {
    let section = page.split("\n## ").find(|section| section.starts_with(heading));
    let section = section.unwrap_or_else(|| panic!("docs/metrics.md has no section {heading}"));
    let lines = section.lines().filter(|line| line.starts_with("| `"));
    lines
        .map(|line| {
            let cells = line.trim_end_matches('|').trim_end();
            let (front, meaning) = cells.rsplit_once(" | ").unwrap();
            (format!("{front} |"), meaning.to_owned())
        })
        .collect()
}

fn compare(heading: &str, exported: &BTreeSet<(String, String)>, documented: &BTreeSet<(String, String)>) {
    let says = |front: &str, help: &str| {
        documented.iter().any(|(cells, meaning)| cells == front && meaning.starts_with(help))
    };
    let missing: Vec<String> = exported
        .iter()
        .filter(|(front, help)| !says(front, help))
        .map(|(front, help)| format!("{front} {help} |"))
        .collect();
    assert!(missing.is_empty(), "{heading}: docs/metrics.md lacks or has otherwise\n{}", missing.join("\n"));
    let fronts: BTreeSet<&str> = exported.iter().map(|(front, _)| front.as_str()).collect();
    let gone: Vec<&str> =
        documented.iter().map(|(front, _)| front.as_str()).filter(|front| !fronts.contains(front)).collect();
    assert!(gone.is_empty(), "{heading}: nothing exports any more\n{}", gone.join("\n"));
}

#[test]
fn the_page_says_what_is_exported_and_nothing_else() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let page = std::fs::read_to_string(path).unwrap();
    for (heading, text) in [("What a router shows", router()), ("What a backend shows", backend())] {
        let exported = rows(&text);
        assert!(exported.len() > 20, "{heading}: {}", exported.len());
        compare(heading, &exported, &documented(&page, heading));
    }
}
