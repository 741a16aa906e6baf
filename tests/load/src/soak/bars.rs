//! What must hold at the end, and what was found.

use super::Findings;
use super::figures::{Growth, Series};
use super::rest::REST;
use super::sample::Sample;

/// Length of a load, in minutes, from which on slopes are judged: in a shorter one caches still fill, and a few samples swing further
/// than the bars allow.
pub const SLOPES_FROM: f64 = 10.0;
/// Part of the mean by which memory may rise over the second half of the load, and the KiB that it may rise by in any case.
const MEMORY: (f64, f64) = (0.02, 2048.0);
/// The same of file descriptors: open connections come and go.
const FILES: (f64, f64) = (0.1, 4.0);
/// Descriptors more than before the load that a process at rest may hold after it.
const FILES_AT_REST: u64 = 2;
/// Keys more than before the load that a Redis at rest may hold after it.
const KEYS_AT_REST: u64 = 2;

/// One thing that must hold.
#[derive(Debug, Clone)]
pub struct Bar {
    /// What.
    pub what: &'static str,
    /// What is wanted.
    pub wanted: String,
    /// What was found.
    pub found: String,
    /// Whether it is reached; `None` where the load was too short to tell.
    pub reached: Option<bool>,
    /// What breaks it.
    pub evidence: Vec<String>,
}

impl Findings {
    /// All bars.
    pub fn bars(&self) -> Vec<Bar> {
        let tally = &self.tally;
        let evidence = |examples: &[String]| examples.to_vec();
        vec![
            none("answers that are not right", tally.wrong.count, evidence(&tally.wrong.examples)),
            none("faults", tally.faults.count, evidence(&tally.faults.examples)),
            self.traffic(),
            self.sent(),
            self.counts(),
            self.files_at_rest(),
            self.keys_at_rest(),
            self.slopes("open file descriptors, rise over the second half", FILES, |taken| {
                Series::of(taken, |sample| sample.files)
            }),
            self.slopes("memory in RAM, rise over the second half", MEMORY, |taken| {
                Series::of(taken, |sample| sample.resident)
            }),
            self.slopes("its allocated part, the same", MEMORY, |taken| {
                Series::of(taken, |sample| sample.anonymous)
            }),
            self.redis_memory(),
            self.ends(),
        ]
    }

    /// A load that lacks something would prove nothing about it.
    fn traffic(&self) -> Bar {
        let tally = &self.tally;
        let forms = ["chat", "chat, streamed", "completion", "completion, streamed"];
        let counts = forms.map(|form| (form, tally.right.get(form).copied().unwrap_or_default()));
        let others = [
            ("refused", tally.all_refused()),
            // Few are let in whose time is then over, and in a short load it may be none.
            ("short of time", tally.timed_out + tally.refused.get("deadline").copied().unwrap_or_default()),
            ("invalid requests", tally.rejected),
            ("left while queued", self.left_queued()),
            ("left while it ran, before a first byte", tally.left_before.saturating_sub(self.left_queued())),
            ("left in the midst of an answer", tally.left_amid),
        ];
        let missing = counts.iter().chain(&others).filter(|(_, count)| *count == 0);
        let evidence: Vec<String> = missing.map(|(what, _)| format!("none: {what}")).collect();
        bar(
            "all of the traffic was there",
            "some of each",
            format!("{} kinds missing", evidence.len()),
            evidence,
        )
    }

    fn sent(&self) -> Bar {
        none("requests not sent, as too many were open", self.unfired as u64, Vec::new())
    }

    fn counts(&self) -> Bar {
        let evidence: Vec<String> = self.before.left.iter().chain(&self.after.left).cloned().collect();
        let found = format!("after {:.1} s", self.after.took.as_secs_f64());
        bar("every count is zero", &format!("within {} s", REST.as_secs()), found, evidence)
    }

    fn files_at_rest(&self) -> Bar {
        let last = |taken: &[Sample]| taken.last().map_or(0, |sample| sample.files);
        let rests = self.before.samples.processes.iter().zip(&self.after.samples.processes);
        let more =
            self.names.iter().zip(rests).map(|(name, (before, after))| (name, last(before), last(after)));
        let more: Vec<_> = more.collect();
        let most =
            more.iter().map(|(_, before, after)| after.saturating_sub(*before)).max().unwrap_or_default();
        let broken = more.iter().filter(|(_, before, after)| *after > before + FILES_AT_REST);
        let evidence =
            broken.map(|(name, before, after)| format!("{name}: {before}, then {after}")).collect();
        let wanted = format!("at most {FILES_AT_REST}");
        bar("descriptors at rest, more than before the load", &wanted, most.to_string(), evidence)
    }

    fn keys_at_rest(&self) -> Bar {
        let [before, after] =
            [&self.before, &self.after].map(|rest| rest.samples.stocks.last().map_or(0, |stock| stock.keys));
        let evidence =
            if after > before + KEYS_AT_REST { vec![format!("{before}, then {after}")] } else { vec![] };
        let found = after.saturating_sub(before).to_string();
        bar("keys in Redis at rest, more than before", &format!("at most {KEYS_AT_REST}"), found, evidence)
    }

    /// The worst of all processes in a figure that must not grow.
    fn slopes(&self, what: &'static str, most: (f64, f64), series: impl Fn(&[Sample]) -> Series) -> Bar {
        let growths: Vec<(&str, Growth)> = self
            .names
            .iter()
            .zip(&self.samples.processes)
            .map(|(name, taken)| (name.as_str(), series(taken).growth(self.load)))
            .collect();
        self.flat(what, most, &growths)
    }

    fn redis_memory(&self) -> Bar {
        let growth = Series::of_redis(&self.samples.stocks).growth(self.load);
        self.flat("used_memory of Redis, the same", MEMORY, &[("redis", growth)])
    }

    fn flat(&self, what: &'static str, (part, least): (f64, f64), growths: &[(&str, Growth)]) -> Bar {
        let unit = if least > 1000.0 { " KiB" } else { "" };
        let worst = growths.iter().max_by(|one, other| one.1.whole.total_cmp(&other.1.whole));
        let found =
            worst.map_or("-".to_owned(), |(name, growth)| format!("{:+.0}{unit} ({name})", growth.whole));
        let risen = growths.iter().filter(|(_, growth)| !growth.is_flat(part, least));
        let evidence = risen.map(|(name, growth)| format!("{name}: {growth:?}")).collect();
        let wanted = format!("at most {:.0} % of the mean or {least:.0}{unit}", 100.0 * part);
        let mut bar = bar(what, &wanted, found, evidence);
        if self.options.minutes < SLOPES_FROM {
            (bar.reached, bar.evidence) = (None, Vec::new());
        }
        bar
    }

    fn ends(&self) -> Bar {
        let clean = self.ended.iter().filter(|(_, how)| how == "0").count();
        let bad = self.ended.iter().filter(|(_, how)| how != "0");
        let evidence = bad.map(|(name, how)| format!("{name} ended: {how}")).collect();
        let found = format!("{clean} of {}", self.ended.len());
        bar("processes that end with 0 on SIGTERM", "all", found, evidence)
    }
}

fn none(what: &'static str, count: u64, evidence: Vec<String>) -> Bar {
    let reached = Some(count == 0);
    Bar { what, wanted: "0".to_owned(), found: count.to_string(), reached, evidence }
}

/// Reached where nothing breaks it.
fn bar(what: &'static str, wanted: &str, found: String, evidence: Vec<String>) -> Bar {
    Bar { what, wanted: wanted.to_owned(), found, reached: Some(evidence.is_empty()), evidence }
}
