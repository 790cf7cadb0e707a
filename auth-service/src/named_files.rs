//! The files that a configuration names, read once before anything rests on them.
//!
//! Guarantees: nothing is written and nobody is connected to; what is in a file is never part of an error.
//! Refuses to guess about what is given by the environment at the start and not now.

use std::sync::Arc;

use portcullis_types::{Clock, Secret, SystemClock};

use crate::config::{Config, StoreKind};
use crate::kek::Source;
use crate::startup::StartError;
use crate::{issuer_keys, kek, store, tls};

/// What the environment gives.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) keks: Option<Secret>,
    pub(crate) database: Option<Secret>,
}

impl Given {
    /// To this process.
    pub(crate) fn here() -> Self {
        Self { keks: kek::Source::from_environment(), database: store::from_environment() }
    }
}

/// Reads each, as a start would; of a certificate also whether anybody would take it now.
pub(crate) fn check(config: &Config, given: Given) -> Result<(), StartError> {
    if let Some(files) = &config.grpc.tls {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        tls::check(files, &clock)?;
    }
    if config.keys.kek_file.is_some() || given.keks.is_some() {
        Source::find(config, given.keks)?.given()?;
    }
    let is_named = config.store.url_file.is_some() || given.database.is_some();
    if config.store.kind == StoreKind::Postgres && is_named {
        store::database(config, given.database)?;
    }
    Ok(issuer_keys::check_roots(&config.issuers)?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;
    use crate::private_file;
    use crate::tailer::SourceText as _;

    /// What is wrong with a configuration that names this file, in words.
    fn wrong(name: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        name(&mut config);
        match check(&config, Given::default()) {
            Ok(()) => String::new(),
            Err(error) => format!("{error} {}", error.source_text()),
        }
    }

    fn open_to_others(file: &Path) {
        fs::set_permissions(file, fs::Permissions::from_mode(0o644)).expect("it is ours");
    }

    #[test]
    fn each_file_that_is_named_is_read_and_none_is_repeated() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let file = folder.path().join("file");
        let kek = |config: &mut Config| config.keys.kek_file = Some(file.clone());
        let database = |config: &mut Config| {
            config.store.kind = StoreKind::Postgres;
            config.store.url_file = Some(file.clone());
        };
        let roots = |config: &mut Config| config.issuers.ca_file = Some(file.clone());
        assert_eq!(wrong(|_| ()), "", "nothing is named");
        for (name, missing) in [(wrong(kek), "missing"), (wrong(database), "cannot be used"), (wrong(roots), "ca_file")]
        {
            assert!(name.contains(missing), "{name}");
        }
        private_file::write(&file, b"hunter2").expect("it can be written");
        for (found, said) in [
            (wrong(kek), "does not hold key-encryption keys"),
            (wrong(database), "postgres"),
            (wrong(roots), "no certificate authorities"),
        ] {
            assert!(found.contains(said) && !found.contains("hunter2"), "{found}");
        }
        open_to_others(&file);
        for found in [wrong(kek), wrong(database)] {
            assert!(found.contains("0600"), "{found}");
        }
        private_file::write(&file, &[7; 32]).expect("it can be written");
        assert_eq!(wrong(kek), "");
        private_file::write(&file, b"postgres://u:hunter2@127.0.0.1:1/a").expect("it can be written");
        assert_eq!(wrong(database), "", "nobody is connected to");
    }
}
