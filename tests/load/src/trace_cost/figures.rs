//! What comes out of the rounds: a table, and whether the bars hold.

use super::round::Measured;
use super::variant::{Tracing, Variant};
use tidegate_sim::stats::quantile;
use tidegate_sim::table::Table;

/// All turns of one router, in the order of the rounds.
#[derive(Debug, Clone)]
pub struct Row {
    /// How it traced.
    pub tracing: Tracing,
    /// Its turns.
    pub turns: Vec<Measured>,
    /// MiB that it held at the end.
    pub memory: f64,
    /// Spans that its collector took.
    pub spans: u64,
}

impl Row {
    /// Takes up what a router did.
    ///
    /// # Errors
    /// A system that does not tell how much memory it holds.
    pub fn of(variant: &Variant, turns: Vec<Measured>) -> anyhow::Result<Self> {
        Ok(Self { tracing: variant.tracing, turns, memory: variant.memory()?, spans: variant.spans() })
    }

    /// Shares by which its CPU time passes that of `off`, round by round, in order.
    fn added(&self, off: &Row) -> Vec<f32> {
        let pairs = self.turns.iter().zip(&off.turns);
        pairs.map(|(own, off)| (own.cpu / off.cpu - 1.0) as f32).collect()
    }

    fn cpu(&self) -> Vec<f32> {
        self.turns.iter().map(|turn| turn.cpu as f32).collect()
    }

    fn latencies(&self) -> Vec<f32> {
        self.turns.iter().flat_map(|turn| turn.latencies.iter().copied()).collect()
    }
}

/// The table of all routers; the first is what the others are compared with.
pub fn table(rows: &[Row]) -> String {
    let mut table = Table::new(&[
        "traced",
        "CPU us/request",
        "added, median of rounds",
        "half of the rounds",
        "p50 ms",
        "p99 ms",
        "memory MiB",
        "spans taken",
    ]);
    for row in rows {
        let added = row.added(&rows[0]);
        let percent = |part: f64| format!("{:+.1} %", 100.0 * quantile(&added, part));
        let latencies = row.latencies();
        let time = |part: f64| format!("{:.2}", quantile(&latencies, part));
        let first = row.tracing == Tracing::Off;
        table.row([
            row.tracing.name().to_owned(),
            format!("{:.1}", quantile(&row.cpu(), 0.5)),
            if first { "-".to_owned() } else { percent(0.5) },
            if first { "-".to_owned() } else { format!("{} to {}", percent(0.25), percent(0.75)) },
            time(0.5),
            time(0.99),
            format!("{:.1}", row.memory),
            row.spans.to_string(),
        ]);
    }
    table.to_string()
}

/// What is over its bar, in words.
pub fn over(rows: &[Row]) -> Vec<String> {
    let over = rows.iter().filter_map(|row| {
        let (bar, added) = (row.tracing.bar()?, quantile(&row.added(&rows[0]), 0.5));
        let (name, added_percent, bar_percent) = (row.tracing.name(), 100.0 * added, 100.0 * bar);
        (added > bar)
            .then(|| format!("{name}: {added_percent:.1} % more CPU; at most {bar_percent:.0} % are allowed"))
    });
    over.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(tracing: Tracing, cpu: [f64; 3]) -> Row {
        let turns = cpu.map(|cpu| Measured { cpu, latencies: vec![1.0, 3.0] }).into();
        Row { tracing, turns, memory: 10.0, spans: 0 }
    }

    #[test]
    fn rounds_are_compared_with_their_own_and_the_middle_counts() {
        // The machine was half as fast in the second round, which says nothing about tracing.
        let rows = [
            row(Tracing::Off, [100.0, 200.0, 100.0]),
            row(Tracing::Every, [120.0, 240.0, 300.0]),
            row(Tracing::Hundredth, [120.0, 240.0, 120.0]),
        ];
        let table = table(&rows);
        assert!(table.contains("+20.0 %"), "{table}");
        let over = over(&rows);
        assert!(over.len() == 1 && over[0].contains("1 % of the requests: 20.0 % more"), "{over:?}");
    }
}
