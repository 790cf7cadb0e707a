//! The processes: started, listened to, waited for, and stopped, all of them, always.
//!
//! Each has a process group of its own, so that Ctrl-C on the terminal reaches only this program, which then stops them
//! in order: those that depend on the authority first.

use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use portcullis_types::{Boottime, Clock, SystemClock};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::DevError;
use super::ready::{self, Ready};

/// How often processes and signals are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a process may take until it can be used.
const UP_WITHIN: Duration = Duration::from_secs(60);
/// How long a process may take to leave before it is killed.
const GRACE: Duration = Duration::from_secs(10);
/// A longer line of a log is printed in parts.
const LINE_BYTES: u64 = 65_536;
/// Terminal colours of the prefixes.
const COLOURS: [u8; 4] = [36, 32, 33, 35];
/// The widest name.
const NAME_WIDTH: usize = 12;

/// Why a process is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FleetError {
    /// It did not start.
    #[error("cannot start {name}: {source}")]
    Start {
        /// Which.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// It ended, though nobody asked it to.
    #[error("{name} ended by itself ({status}); its last lines are above. The others were stopped")]
    Died {
        /// Which.
        name: String,
        /// How.
        status: ExitStatus,
    },
    /// It runs, and is not ready.
    #[error("{name} was not ready within {} s: {what}", UP_WITHIN.as_secs())]
    NotReady {
        /// Which.
        name: String,
        /// What was waited for.
        what: String,
    },
    /// Its ready file lacks something.
    #[error("the ready file of {name} has no {field} that can be used")]
    NotReadyFile {
        /// Which.
        name: String,
        /// What it lacks.
        field: &'static str,
    },
    /// A person asked for the end.
    #[error("interrupted")]
    Interrupted,
    /// Signals cannot be received.
    #[error("cannot listen for signals: {0}")]
    Signals(#[source] io::Error),
    /// A process cannot be looked at.
    #[error("cannot look at {name}: {source}")]
    Look {
        /// Which.
        name: String,
        /// Why.
        source: io::Error,
    },
}

struct Process {
    name: String,
    child: Child,
    running: bool,
    readers: Vec<JoinHandle<()>>,
}

/// All processes, in the order of their start. Dropping it stops them.
pub(super) struct Fleet {
    processes: Vec<Process>,
    signals: Signals,
    interruptions: usize,
    clock: SystemClock,
    grace: Duration,
    coloured: bool,
}

impl Fleet {
    /// None yet; from now on Ctrl-C no longer ends this program by itself.
    pub(super) fn new() -> Result<Self, FleetError> {
        let signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(FleetError::Signals)?;
        let coloured = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Ok(Self { processes: Vec::new(), signals, interruptions: 0, clock: SystemClock, grace: GRACE, coloured })
    }

    /// Whether a person asked for the end.
    pub(super) const fn was_interrupted(&self) -> bool {
        self.interruptions > 0
    }

    /// Starts a process and prints its lines from now on, with its name before each.
    pub(super) fn start(&mut self, name: &str, mut command: Command) -> Result<(), FleetError> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let started = command.spawn();
        let mut child = started.map_err(|source| FleetError::Start { name: name.to_owned(), source })?;
        let prefix = self.prefix(name);
        let mut readers = Vec::new();
        readers.extend(child.stdout.take().map(|pipe| relay(prefix.clone(), pipe)));
        readers.extend(child.stderr.take().map(|pipe| relay(prefix, pipe)));
        self.processes.push(Process { name: name.to_owned(), child, running: true, readers });
        Ok(())
    }

    /// Waits for the ready file of a process.
    pub(super) fn ready(&mut self, name: &str, file: &Path) -> Result<Ready, FleetError> {
        self.wait(name, "it has written no ready file", || Ready::read(name, file))
    }

    /// Waits until a process answers a path with 200.
    pub(super) fn answers(&mut self, name: &str, address: &str, path: &str) -> Result<(), FleetError> {
        let what = format!("http://{address}{path} does not answer 200");
        self.wait(name, &what, || ready::is_ok(address, path).then_some(()))
    }

    /// Waits until a person asks for the end, or a process ends by itself.
    pub(super) fn follow(&mut self) -> Result<(), DevError> {
        loop {
            match self.look() {
                Ok(()) => thread::sleep(LOOK_EVERY),
                Err(FleetError::Interrupted) => return Ok(()),
                Err(died) => return Err(died.into()),
            }
        }
    }

    /// Stops all: SIGTERM, and after a grace, or when a person asks twice, SIGKILL.
    pub(super) fn stop(&mut self) {
        if self.processes.iter().any(|process| process.running) {
            say("stopping");
        }
        let first = 1.min(self.processes.len());
        self.stop_from(first);
        self.stop_from(0);
        for process in &mut self.processes {
            for reader in process.readers.drain(..) {
                // A reader ends when its pipe does; a panic in one has been printed by itself.
                let _ended = reader.join();
            }
        }
    }

    fn stop_from(&mut self, first: usize) {
        self.signal_from(first, Signal::TERM);
        let deadline = self.clock.boottime() + self.grace;
        while self.any_running_from(first) && self.clock.boottime() < deadline && !self.is_hurried() {
            thread::sleep(LOOK_EVERY);
        }
        for process in self.processes[first..].iter().filter(|process| process.running) {
            say(&format!("{} does not leave; it is killed", process.name));
        }
        self.signal_from(first, Signal::KILL);
        while self.any_running_from(first) {
            thread::sleep(LOOK_EVERY);
        }
    }

    fn signal_from(&mut self, first: usize, signal: Signal) {
        for process in self.processes[first..].iter().filter(|process| process.running) {
            // It was not waited for yet, so the id is still its own.
            if let Err(error) = kill_process(Pid::from_child(&process.child), signal) {
                say(&format!("cannot signal {}: {error}", process.name));
            }
        }
    }

    fn any_running_from(&mut self, first: usize) -> bool {
        for process in self.processes[first..].iter_mut().filter(|process| process.running) {
            process.running = matches!(process.child.try_wait(), Ok(None));
        }
        self.processes[first..].iter().any(|process| process.running)
    }

    fn is_hurried(&mut self) -> bool {
        let before = self.interruptions;
        self.take_signals();
        before > 0 && self.interruptions > before
    }

    fn take_signals(&mut self) {
        self.interruptions += self.signals.pending().count();
    }

    /// An error if a person asked for the end or a process ended.
    fn look(&mut self) -> Result<(), FleetError> {
        self.take_signals();
        if self.was_interrupted() {
            return Err(FleetError::Interrupted);
        }
        for process in &mut self.processes {
            let ended = process.child.try_wait();
            if let Some(status) = ended.map_err(|source| FleetError::Look { name: process.name.clone(), source })? {
                process.running = false;
                return Err(FleetError::Died { name: process.name.clone(), status });
            }
        }
        Ok(())
    }

    fn wait<T>(&mut self, name: &str, what: &str, mut probe: impl FnMut() -> Option<T>) -> Result<T, FleetError> {
        let deadline: Boottime = self.clock.boottime() + UP_WITHIN;
        loop {
            self.look()?;
            if let Some(ready) = probe() {
                return Ok(ready);
            }
            if self.clock.boottime() >= deadline {
                return Err(FleetError::NotReady { name: name.to_owned(), what: what.to_owned() });
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    fn prefix(&self, name: &str) -> String {
        if !self.coloured {
            return format!("{name:<NAME_WIDTH$} | ");
        }
        let colour = COLOURS[self.processes.len() % COLOURS.len()];
        format!("\u{1b}[{colour}m{name:<NAME_WIDTH$} |\u{1b}[0m ")
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if self.any_running_from(0) {
            self.stop();
        }
    }
}

/// Prints a line. Whoever reads our output may be gone; the processes must be listened to and stopped all the same.
pub(super) fn say(line: &str) {
    let _unread = writeln!(io::stdout().lock(), "{line}");
}

fn relay(prefix: String, pipe: impl Read + Send + 'static) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut lines = BufReader::new(pipe);
        let mut line = Vec::new();
        // An unreadable pipe is like an ended one; the process is looked at elsewhere.
        while let Ok(1..) = (&mut lines).take(LINE_BYTES).read_until(b'\n', &mut line) {
            let text = String::from_utf8_lossy(&line);
            say(&format!("{prefix}{}", text.trim_end_matches(['\n', '\r'])));
            line.clear();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::files::testing::Folder;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_process_that_ends_by_itself_is_named_with_its_status() {
        let mut fleet = Fleet::new().expect("signals can be received");
        fleet.start("steady", shell("exec sleep 600")).expect("started");
        fleet.start("brief", shell("exit 7")).expect("started");
        let error = fleet.follow().expect_err("brief ended").to_string();
        assert!(error.contains("brief ended by itself (exit status: 7)"), "{error}");
        fleet.stop();
        assert!(!fleet.any_running_from(0));
    }

    #[test]
    fn waiting_for_a_process_that_died_ends_at_once() {
        let mut fleet = Fleet::new().expect("signals can be received");
        fleet.start("brief", shell("exit 3")).expect("started");
        let error = fleet.ready("brief", Path::new("/nonexistent/ready.json")).expect_err("it died");
        assert!(matches!(error, FleetError::Died { .. }), "{error}");
    }

    #[test]
    fn stopping_ends_those_that_depend_on_the_first_before_it() {
        let mut fleet = Fleet::new().expect("signals can be received");
        for name in ["first", "second", "third"] {
            fleet.start(name, shell("exec sleep 600")).expect("started");
        }
        fleet.stop_from(1);
        let running: Vec<bool> = fleet.processes.iter().map(|process| process.running).collect();
        assert_eq!(running, [true, false, false]);
        fleet.stop();
        assert!(!fleet.any_running_from(0));
    }

    #[test]
    fn a_process_that_does_not_heed_is_killed_after_the_grace() {
        let folder = Folder::new();
        let file = folder.0.join("ready.json");
        let mut fleet = Fleet::new().expect("signals can be received");
        fleet.grace = Duration::ZERO;
        let script = format!("trap '' TERM; echo '{{}}' > {}; exec sleep 600", file.display());
        fleet.start("stubborn", shell(&script)).expect("started");
        fleet.ready("stubborn", &file).expect("it wrote its file");
        fleet.stop();
        assert!(!fleet.any_running_from(0));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let mut fleet = Fleet::new().expect("signals can be received");
        let error = fleet.start("ghost", Command::new("/nonexistent/ghost")).expect_err("not there").to_string();
        assert!(error.contains("ghost"), "{error}");
    }
}
