//! What the operating system says of this process, under the names that every dashboard knows.
//!
//! Read when somebody scrapes. What cannot be read is left out, because a zero would be a lie.

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use rustix::process::{Resource, getrlimit};

/// The figures of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process;

impl Collector for Process {
    fn encode(&self, mut to: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let mut gauge = |name: &str, help: &str, value: Option<i64>| -> Result<(), std::fmt::Error> {
            let Some(value) = value else { return Ok(()) };
            let gauge = ConstGauge::new(value);
            gauge.encode(to.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        gauge(
            "process_resident_memory_bytes",
            "Memory that is in use",
            kibibytes(&status, "VmRSS:").map(|k| k * 1_024),
        )?;
        gauge("process_threads", "Threads", number(&status, "Threads:"))?;
        gauge("process_open_fds", "Open files and sockets", open_files())?;
        gauge("process_max_fds", "How many files and sockets may be open", most_files())?;
        gauge("process_start_time_seconds", "When it started, in seconds since 1970", started())?;
        match processor_seconds() {
            None => Ok(()),
            Some(seconds) => {
                let spent = ConstCounter::new(seconds);
                let help = "Processor time that was used";
                spent.encode(to.encode_descriptor("process_cpu_seconds", help, None, spent.metric_type())?)
            }
        }
    }
}

/// A line of `/proc/self/status`: a name, spaces, a number.
fn number(status: &str, name: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn kibibytes(status: &str, name: &str) -> Option<i64> {
    number(status, name)
}

fn open_files() -> Option<i64> {
    // One of them is the folder that is being read.
    let count = fs::read_dir("/proc/self/fd").ok()?.count().checked_sub(1)?;
    i64::try_from(count).ok()
}

fn most_files() -> Option<i64> {
    getrlimit(Resource::Nofile).current.and_then(|most| i64::try_from(most).ok())
}

/// The fields of `/proc/self/stat` after the program's name, which may hold spaces.
fn fields() -> Option<Vec<u64>> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let rest = stat.rsplit_once(')')?.1;
    // What is not a plain number (the state, a few that may be negative) is not asked for.
    Some(rest.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
}

fn ticks_per_second() -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "it is a hundred")]
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    ticks
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a counter of ticks loses nothing before it has run for a million years"
)]
fn processor_seconds() -> Option<f64> {
    let fields = fields()?;
    // `utime` and `stime`: fields 14 and 15 of proc(5), of which the first two are cut off.
    let ticks = fields.get(11)? + fields.get(12)?;
    Some(ticks as f64 / ticks_per_second())
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "whole seconds of a boot")]
fn started() -> Option<i64> {
    // `starttime`: field 22 of proc(5), in ticks since the machine started.
    let after_boot = *fields()?.get(19)? as f64 / ticks_per_second();
    let boot = number(&fs::read_to_string("/proc/stat").ok()?, "btime")?;
    Some(boot + after_boot as i64)
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    use super::*;

    fn value(text: &str, name: &str) -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().expect("a number")
    }

    #[test]
    fn a_scrape_says_what_this_process_uses() {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process));
        let scrape = || {
            let mut out = String::new();
            text::encode(&mut out, &registry).expect("a string takes everything");
            out
        };
        let before = scrape();
        assert!(value(&before, "process_resident_memory_bytes") > 1e6);
        assert!(value(&before, "process_max_fds") >= value(&before, "process_open_fds"));
        assert!(value(&before, "process_start_time_seconds") > 1.6e9);
        assert!(value(&before, "process_cpu_seconds_total") >= 0.0);
        let held: Vec<_> = (0..64).map(|_| tempfile::tempfile().expect("a file")).collect();
        // Other tests of this program open files too, but not so many.
        assert!(value(&scrape(), "process_open_fds") >= value(&before, "process_open_fds") + 32.0);
        drop(held);
    }
}
