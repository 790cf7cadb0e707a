//! The machine: which core does what, how many files may be open, what a process costs, what time it is.
//!
//! Every process of a run is on this machine, so their clocks are one clock and may be compared.

use std::fs;
use std::time::Duration;

use portcullis_types::{Clock as _, SystemClock};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Serialize;

use crate::error::{Outcome, While as _};

/// Files that a process opens besides its sockets: libraries' handles, logs, the database, pipes.
const FILES_BESIDE: u64 = 300;

/// Which core is whose.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Cores {
    /// Of every program that is measured, bare peers too.
    pub(crate) servers: usize,
    /// Of everything that makes load.
    pub(crate) load: usize,
}

impl Cores {
    /// The first two that this process may use; one and the same when there is only one.
    pub(crate) fn find() -> Outcome<Self> {
        let allowed = sched_getaffinity(None).during("reading which cores may be used")?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let servers = cores.next().unwrap_or(0);
        Ok(Self { servers, load: cores.next().unwrap_or(servers) })
    }

    /// Whether load and servers do not disturb each other.
    pub(crate) const fn are_apart(self) -> bool {
        self.servers != self.load
    }
}

/// Keeps the calling thread, and the threads and processes that it starts from now on, on a core.
pub(crate) fn pin(core: usize) -> Outcome<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).during("choosing a core")
}

/// Raises the limit on open files as far as it may be raised, for this process and those it starts.
pub(crate) fn raise_open_files() -> Outcome<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).during("raising the limit on open files")
}

/// How many sockets one process may hold.
pub(crate) fn sockets_per_process() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files.saturating_sub(FILES_BESIDE)).unwrap_or(usize::MAX)
}

/// The load averages over 1, 5 and 15 minutes, as the kernel writes them.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// The kernel's version.
pub(crate) fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

/// Wall clock, microseconds since 1970.
pub(crate) fn wall_us() -> i64 {
    SystemClock.now().as_micros()
}

/// The time that processes of this machine measure durations with.
pub(crate) fn nanos() -> u64 {
    SystemClock.boottime().as_nanos()
}

/// CPU time that a process has used so far, in user mode and in the kernel, to a clock tick.
pub(crate) fn cpu(pid: u32) -> Outcome<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).during("reading a process's CPU time")?;
    let ticks = cpu_ticks(&text).during("reading a process's CPU time")?;
    Ok(Duration::from_nanos(ticks * (1_000_000_000 / rustix::param::clock_ticks_per_second().max(1))))
}

/// Fields 14 and 15; the second field is a name in parentheses that may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// User memory of a process, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Resident.
    pub(crate) rss: u64,
    /// Resident, shared pages divided among those who share them.
    pub(crate) pss: u64,
}

/// What a process holds now.
pub(crate) fn memory(pid: u32) -> Outcome<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).during("reading a process's memory")?;
    let bytes = |name| kibibytes(&text, name).during("reading a process's memory").map(|kib| kib * 1024);
    Ok(Memory { rss: bytes("Rss:")?, pss: bytes("Pss:")? })
}

fn kibibytes(rollup: &str, name: &str) -> Option<u64> {
    let line = rollup.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_past_a_name_with_spaces_and_parentheses() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 100 1000 10";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("7 (cut"), None);
    }

    #[test]
    fn memory_is_read_by_its_whole_name() {
        let rollup =
            "head [rollup]\nRss:                1000 kB\nPss:                 900 kB\nPss_Anon:            800 kB\n";
        assert_eq!(kibibytes(rollup, "Pss:"), Some(900));
        assert_eq!(kibibytes(rollup, "Swap:"), None);
    }

    #[test]
    fn this_process_can_be_measured() {
        let pid = std::process::id();
        assert!(memory(pid).expect("it runs").rss > 0);
        cpu(pid).expect("it runs");
    }
}
