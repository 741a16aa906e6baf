//! What the operating system says of this process, under the names that every Prometheus client uses. Read at each scrape, from
//! `/proc`; other systems than Linux show nothing here.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Reads this process's figures.
#[derive(Debug, Default)]
pub(super) struct Process;

/// One reading.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Reading {
    /// CPU time in user and system mode, seconds.
    pub(super) cpu_seconds: f64,
    /// Memory that is in RAM.
    pub(super) resident_bytes: u64,
    /// Address space.
    pub(super) virtual_bytes: u64,
    /// File descriptors that are open.
    pub(super) open_fds: u64,
    /// File descriptors that may be open.
    pub(super) max_fds: u64,
    /// Threads.
    pub(super) threads: u64,
    /// Unix seconds of the start.
    pub(super) start_seconds: f64,
}

#[cfg(target_os = "linux")]
pub(super) fn read() -> Option<Reading> {
    let process = procfs::process::Process::myself().ok()?;
    let stat = process.stat().ok()?;
    let per_second = procfs::ticks_per_second() as f64;
    let booted = procfs::boot_time_secs().ok()? as f64;
    let limit = process.limits().ok()?.max_open_files.soft_limit;
    let max_fds = match limit {
        procfs::process::LimitValue::Unlimited => u64::MAX,
        procfs::process::LimitValue::Value(most) => most,
    };
    Some(Reading {
        cpu_seconds: (stat.utime + stat.stime) as f64 / per_second,
        resident_bytes: stat.rss * procfs::page_size(),
        virtual_bytes: stat.vsize,
        open_fds: process.fd_count().ok()? as u64,
        max_fds,
        threads: u64::try_from(stat.num_threads).unwrap_or_default(),
        start_seconds: booted + stat.starttime as f64 / per_second,
    })
}

#[cfg(not(target_os = "linux"))]
pub(super) fn read() -> Option<Reading> {
    None
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(reading) = read() else { return Ok(()) };
        let cpu = ConstCounter::new(reading.cpu_seconds);
        let help = "CPU time in user and system mode, seconds";
        cpu.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, cpu.metric_type())?)?;
        for (name, help, value) in [
            ("process_resident_memory_bytes", "Memory in RAM", reading.resident_bytes as f64),
            ("process_virtual_memory_bytes", "Address space", reading.virtual_bytes as f64),
            ("process_open_fds", "File descriptors that are open", reading.open_fds as f64),
            ("process_max_fds", "File descriptors that may be open", reading.max_fds as f64),
            ("process_threads", "Threads", reading.threads as f64),
            ("process_start_time_seconds", "Unix seconds of the start", reading.start_seconds),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_files_threads_and_a_start() {
        let reading = read().unwrap();
        assert!(reading.resident_bytes > 0 && reading.virtual_bytes >= reading.resident_bytes, "{reading:?}");
        assert!(reading.open_fds > 0 && reading.open_fds <= reading.max_fds, "{reading:?}");
        assert!(reading.threads > 0 && reading.start_seconds > 1e9, "{reading:?}");
    }
}
