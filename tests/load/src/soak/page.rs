//! The report as Markdown.

use super::Findings;
use super::bars::{Bar, SLOPES_FROM};
use super::figures::Series;
use crate::machine;
use std::fmt::{self, Write as _};
use tidegate_sim::table::Table;

impl Findings {
    /// The report, and whether all bars are reached.
    ///
    /// # Errors
    /// None: text can always be added to text.
    pub fn page(&self) -> Result<(String, bool), fmt::Error> {
        let (mut page, bars) = (String::new(), self.bars());
        let options = &self.options;
        writeln!(page, "\n{}\n", machine::described())?;
        writeln!(
            page,
            "Seed {}, {} minutes at {} times a capacity of {:.0} right answers a second: {:.0} requests a second.\n",
            options.seed, options.minutes, options.load, self.capacity, self.rate
        )?;
        writeln!(page, "{}\n{}\n{}", self.processes(), self.totals(), judged(&bars))?;
        if options.minutes < SLOPES_FROM {
            writeln!(page, "Slopes are not judged in loads of less than {SLOPES_FROM} minutes.\n")?;
        }
        for bar in bars.iter().filter(|bar| bar.reached == Some(false)) {
            writeln!(page, "{}: {}", bar.what, bar.found)?;
            bar.evidence.iter().try_for_each(|piece| writeln!(page, "- {piece}"))?;
        }
        let reached = bars.iter().all(|bar| bar.reached != Some(false));
        let word = if reached { "every bar is reached" } else { "a bar is missed" };
        writeln!(page, "Seed {}: {word}.", options.seed)?;
        Ok((page, reached))
    }

    fn processes(&self) -> Table {
        let mut table = Table::new(&[
            "process",
            "MiB after 1/4",
            "1/2",
            "all",
            "KiB/min, second half",
            "%/h",
            "allocated, KiB/min",
            "descriptors at rest before",
            "under load",
            "at rest after",
            "threads before",
            "after",
        ]);
        for (number, name) in self.names.iter().enumerate() {
            let [taken, before, after] = [&self.samples, &self.before.samples, &self.after.samples]
                .map(|samples| samples.processes.get(number).map_or(&[][..], Vec::as_slice));
            let growing = |series: &Series| format!("{:+.1}", series.growth(self.load).per_minute);
            let (files, allocated) =
                (Series::of(taken, |sample| sample.files), Series::of(taken, |sample| sample.anonymous));
            let mut row = self.memory(name, &Series::of(taken, |sample| sample.resident));
            row.push(growing(&allocated));
            let [held, threads]: [[String; 2]; 2] = [
                [before, after].map(|rest| rest.last().map_or(0, |sample| sample.files).to_string()),
                [before, after].map(|rest| rest.last().map_or(0, |sample| sample.threads).to_string()),
            ];
            let [files_before, files_after] = held;
            row.extend([files_before, format!("{:.0}", files.growth(self.load).mean), files_after]);
            row.extend(threads);
            table.row(row);
        }
        let mut row = self.memory("redis, used_memory", &Series::of_redis(&self.samples.stocks));
        row.resize(12, String::new());
        table.row(row);
        table
    }

    /// The first cells of a row: memory at three instants, and its growth.
    fn memory(&self, name: &str, series: &Series) -> Vec<String> {
        let mut row = vec![name.to_owned()];
        row.extend([0.25, 0.5, 1.0].map(|part| format!("{:.1}", series.after(part, self.load) / 1024.0)));
        let growth = series.growth(self.load);
        row.push(format!("{:+.1}", growth.per_minute));
        row.push(format!("{:+.2}", growth.percent_per_hour()));
        row
    }

    fn totals(&self) -> Table {
        let tally = &self.tally;
        let mut table = Table::new(&["requests", "count"]);
        let mut row = |what: &str, count: u64| table.row([what.to_owned(), count.to_string()]);
        row("asked", tally.asked);
        row("answered rightly", tally.all_right());
        tally.right.iter().for_each(|(form, count)| row(&format!("of them {form}"), *count));
        row("of them after their time", tally.late);
        tally.refused.iter().for_each(|(code, count)| row(&format!("refused, `{code}`"), *count));
        row("time over, `timeout`", tally.timed_out);
        row("invalid, and told so", tally.rejected);
        row("left while queued", self.left_queued());
        row("left while it ran, before a first byte", tally.left_before.saturating_sub(self.left_queued()));
        row("left in the midst of an answer", tally.left_amid);
        row("answered wrongly", tally.wrong.count);
        row("faults", tally.faults.count);
        let keys = |samples: &super::sample::Samples| samples.stocks.last().map_or(0, |stock| stock.keys);
        row("times that a router went on alone, as Redis was late", self.alone as u64);
        row("keys in Redis at rest before", keys(&self.before.samples));
        row("keys in Redis at rest after", keys(&self.after.samples));
        table
    }
}

fn judged(bars: &[Bar]) -> Table {
    let mut table = Table::new(&["bar", "wanted", "found", ""]);
    for bar in bars {
        let word = match bar.reached {
            Some(true) => "reached",
            Some(false) => "**missed**",
            None => "not judged",
        };
        table.row([bar.what.to_owned(), bar.wanted.clone(), bar.found.clone(), word.to_owned()]);
    }
    table
}
