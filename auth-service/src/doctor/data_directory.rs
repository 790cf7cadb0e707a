//! The data directory and the key files in it: who may read them.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::report::{Report, Severity};
use crate::config::Config;

/// What only its owner may read.
const PRIVATE: [&str; 3] = ["kek", "admin.key", "authority.db"];

pub(super) fn examine(config: &Config, report: &mut Report) {
    let directory = &config.data_dir;
    match fs::metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mend = "start the service once, or run `auth-service bootstrap`";
            report.bad("data directory", Severity::Advice, format!("{} is not there", directory.display()), mend);
            return;
        }
        Err(error) => {
            let mend = "run as the user that owns it";
            report.bad("data directory", Severity::Error, format!("{}: {error}", directory.display()), mend);
            return;
        }
        Ok(found) if found.permissions().mode() & 0o022 != 0 => {
            let mend = format!("chmod 700 {}", directory.display());
            report.bad("data directory", Severity::Error, "others may exchange what is in it", mend);
        }
        Ok(found) if found.uid() != rustix::process::geteuid().as_raw() => {
            let mend = "run as its owner, or give it away with chown";
            report.bad("data directory", Severity::Error, "it belongs to another user", mend);
        }
        Ok(_) => report.good("data directory", directory.display().to_string()),
    }
    for name in PRIVATE {
        private(name, &directory.join(name), report);
    }
    if directory.join("admin.key").exists() {
        let mend = "keep it where secrets are kept, and remove the file";
        report.bad("admin.key", Severity::Advice, "the first administrator's key is still there", mend);
    }
    if let Some(file) = &config.keys.kek_file {
        private("keys.kek_file", file, report);
    }
}

fn private(check: &'static str, file: &Path, report: &mut Report) {
    let Ok(found) = fs::metadata(file) else { return };
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        report.good(check, format!("mode {mode:03o}"));
    } else {
        let mend = format!("chmod 600 {}; who read it meanwhile has what is in it", file.display());
        report.bad(check, Severity::Error, format!("mode {mode:03o}: others may read it"), mend);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_others_may_read_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config { data_dir: folder.path().to_owned(), ..Config::default() };
        let kek = folder.path().join("kek");
        fs::write(&kek, [7; 32]).expect("it can be written");
        let worst = |mode| {
            fs::set_permissions(&kek, fs::Permissions::from_mode(mode)).expect("it is ours");
            let mut report = Report::default();
            examine(&config, &mut report);
            report.worst()
        };
        assert_eq!(worst(0o600), Severity::Ok);
        assert_eq!(worst(0o640), Severity::Error);
    }
}
