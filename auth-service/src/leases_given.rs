//! How long the leases may be that a process before this one gave.
//!
//! Owns the file `lease_ms` in the data directory. Registrations are in memory, so a process that starts must wait until
//! every lease from before has run out, and that may be longer than its own when the configuration has changed.
//! Guarantees that the file never says less than a lease that may still be held: it is raised before the first lease is
//! given, and lowered only by [`Given::lower`], when all longer ones have run out.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::private_file;

/// See the module.
#[derive(Debug)]
pub(crate) struct Given {
    file: PathBuf,
    lease: Duration,
    before: Option<Duration>,
}

impl Given {
    /// Before the first lease of this length is given.
    pub(crate) fn open(data_dir: &Path, lease: Duration) -> io::Result<Self> {
        let file = data_dir.join("lease_ms");
        let before = match private_file::read(&file)? {
            None => None,
            Some(text) => Some(millis(text.expose_str()).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    "not a number of milliseconds; write the longest lease there was",
                )
            })?),
        };
        let given = Self { file, lease, before };
        given.write(before.map_or(lease, |before| before.max(lease)))?;
        Ok(given)
    }

    /// The longest lease from before that may still be held; none when there is no word of any.
    pub(crate) const fn before(&self) -> Option<Duration> {
        self.before
    }

    /// How long to wait before [`Given::lower`]; none when there is nothing to lower.
    pub(crate) fn lower_after(&self) -> Option<Duration> {
        self.before.filter(|before| *before > self.lease).map(|before| before * 2)
    }

    /// All longer leases have run out.
    pub(crate) fn lower(&self) -> io::Result<()> {
        self.write(self.lease)
    }

    fn write(&self, longest: Duration) -> io::Result<()> {
        private_file::write(&self.file, longest.as_millis().to_string().as_bytes())
    }
}

fn millis(text: Option<&str>) -> Option<Duration> {
    text?.trim().parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_longer_lease_from_before_is_remembered_until_it_is_lowered() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let open = |lease| Given::open(folder.path(), seconds(lease)).expect("it can be written");
        assert_eq!(open(60).before(), None);
        assert_eq!(open(5).before(), Some(seconds(60)));
        // Crashed before it was lowered.
        let third = open(5);
        assert_eq!((third.before(), third.lower_after()), (Some(seconds(60)), Some(seconds(120))));
        third.lower().expect("it can be written");
        let fourth = open(5);
        assert_eq!((fourth.before(), fourth.lower_after()), (Some(seconds(5)), None));
    }

    #[test]
    fn a_file_that_says_nothing_is_refused() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        private_file::write(&folder.path().join("lease_ms"), b"soon").expect("it can be written");
        assert!(Given::open(folder.path(), seconds(5)).is_err());
    }
}
