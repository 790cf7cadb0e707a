//! Where the key-encryption keys come from: a file, the environment, or the data directory of a single process.
//!
//! Guarantees: they are never printed, never in the configuration, and a file that others may read is refused.
//! Refuses: two sources at once, because nobody could say which one encrypted what.
//! The form is one key a line, the current one first: 64 hexadecimal digits, or base64 of 32 bytes; what follows a `#` is
//! a remark. In the environment, commas may stand for the ends of lines. A file of exactly 32 bytes is one key as it is.

use std::path::{Path, PathBuf};

use auth_domain::{KeyEncryptionKey, KeyEncryptionKeys, Store};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use portcullis_types::{Entropy, Secret};

use crate::config::{Config, StoreKind};
use crate::private_file;
use crate::startup::StartError;

/// The variable that holds them.
pub(crate) const VARIABLE: &str = "PORTCULLIS_AUTH_KEK";

/// How many versions may be given.
const MOST: usize = 16;

/// Not key-encryption keys. It never repeats what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not 1 to {MOST} keys of 32 bytes, one a line, as 64 hexadecimal digits or base64")]
pub(crate) struct NotKeys;

/// Where they were looked for and found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A file that the configuration names.
    File(PathBuf),
    /// The environment.
    Environment(Secret),
    /// A file of the data directory, made at the first start.
    DataDirectory(PathBuf),
}

impl Source {
    /// By the configuration and the environment.
    /// Where replicas share a store, one that this directory alone has would lock the others out.
    pub(crate) fn find(config: &Config, variable: Option<Secret>) -> Result<Self, StartError> {
        match (config.keys.kek_file.as_deref(), variable) {
            (Some(_), Some(_)) => Err(StartError::TwoKeks),
            (Some(file), None) => Ok(Self::File(file.to_owned())),
            (None, Some(text)) => Ok(Self::Environment(text)),
            (None, None) => match config.store.kind {
                StoreKind::Sqlite => Ok(Self::DataDirectory(config.data_dir.join("kek"))),
                StoreKind::Postgres => Err(StartError::KekNeeded),
            },
        }
    }

    /// What the process was started with.
    pub(crate) fn from_environment() -> Option<Secret> {
        std::env::var_os(VARIABLE).filter(|text| !text.is_empty()).map(|text| {
            use std::os::unix::ffi::OsStringExt as _;
            Secret::new(text.into_vec())
        })
    }

    /// Reads them. Those of the data directory are made once, with the first signing key, and never made again under keys
    /// that another one encrypted.
    pub(crate) async fn read(&self, store: &dyn Store, entropy: &dyn Entropy) -> Result<KeyEncryptionKeys, StartError> {
        match self {
            Self::Environment(text) => parse(text).map_err(|_| StartError::KekVariable),
            Self::File(path) => match from_file(path)? {
                Some(keks) => Ok(keks),
                None => Err(StartError::KekMissing(path.clone())),
            },
            Self::DataDirectory(path) => {
                if let Some(keks) = from_file(path)? {
                    return Ok(keks);
                }
                if !store.read().await?.signing_keys().await?.is_empty() {
                    return Err(StartError::KekMissing(path.clone()));
                }
                let kek: [u8; 32] = entropy.array();
                private_file::write(path, &kek).map_err(|source| StartError::File { path: path.clone(), source })?;
                Ok(KeyEncryptionKey::new(&kek).into())
            }
        }
    }
}

impl Source {
    /// Reads them and makes none; absent where the data directory has none yet.
    pub(crate) fn given(&self) -> Result<Option<KeyEncryptionKeys>, StartError> {
        match self {
            Self::Environment(text) => parse(text).map(Some).map_err(|_| StartError::KekVariable),
            Self::File(path) => match from_file(path)? {
                Some(keks) => Ok(Some(keks)),
                None => Err(StartError::KekMissing(path.clone())),
            },
            Self::DataDirectory(path) => from_file(path),
        }
    }
}

fn from_file(path: &Path) -> Result<Option<KeyEncryptionKeys>, StartError> {
    let content = private_file::read(path).map_err(|source| StartError::File { path: path.to_owned(), source })?;
    content.map(|content| parse(&content).map_err(|_| StartError::KekDamaged(path.to_owned()))).transpose()
}

fn parse(content: &Secret) -> Result<KeyEncryptionKeys, NotKeys> {
    if let Ok(raw) = <&[u8; 32]>::try_from(content.expose_bytes()) {
        return Ok(KeyEncryptionKey::new(raw).into());
    }
    let text = content.expose_str().ok_or(NotKeys)?;
    let lines = text.split(['\n', ',']).map(|line| line.split('#').next().unwrap_or_default().trim());
    let mut keys = lines.filter(|line| !line.is_empty()).map(key).collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() || keys.len() > MOST {
        return Err(NotKeys);
    }
    let current = keys.remove(0);
    Ok(KeyEncryptionKeys::new(current, keys))
}

fn key(line: &str) -> Result<KeyEncryptionKey, NotKeys> {
    let bytes = hex(line).or_else(|| {
        [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].iter().find_map(|form| form.decode(line).ok())
    });
    let bytes = Secret::new(bytes.ok_or(NotKeys)?);
    bytes.expose_bytes().try_into().map(KeyEncryptionKey::new).map_err(|_| NotKeys)
}

fn hex(line: &str) -> Option<Vec<u8>> {
    if line.len() != 64 || !line.is_ascii() {
        return None;
    }
    (0..32).map(|at| u8::from_str_radix(&line[2 * at..2 * at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(content: &[u8]) -> Result<Vec<String>, NotKeys> {
        parse(&Secret::new(content)).map(|keks| keks.iter().map(|kek| kek.id().to_owned()).collect())
    }

    #[test]
    fn every_form_of_one_key_is_the_same_key() {
        let one = ids(&[0xfb; 32]).expect("32 bytes as they are");
        for form in [&STANDARD, &URL_SAFE] {
            assert_eq!(ids(form.encode([0xfb; 32]).as_bytes()), Ok(one.clone()));
        }
        assert_eq!(ids(format!("# now\n{}\n", "fB".repeat(32)).as_bytes()), Ok(one));
    }

    #[test]
    fn the_first_is_the_current_one() {
        let (new, old) = ("01".repeat(32), "02".repeat(32));
        let both = ids(format!("{new} # since May\n\n{old}").as_bytes()).expect("two keys");
        assert_eq!(both, [ids(new.as_bytes()).expect("one").remove(0), ids(old.as_bytes()).expect("one").remove(0)]);
        assert_eq!(ids(format!("{new},{old}").as_bytes()), Ok(both));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let many = "01".repeat(32) + "\n";
        for bad in ["", "# nothing", "0102", "not a key", &"zz".repeat(32), &many.repeat(MOST + 1)] {
            assert_eq!(ids(bad.as_bytes()), Err(NotKeys), "{bad}");
        }
        assert_eq!(ids(&[0xff; 33]), Err(NotKeys));
    }

    #[test]
    fn two_sources_are_one_too_many() {
        let mut config = Config { data_dir: "/d".into(), ..Config::default() };
        assert_eq!(Source::find(&config, None).ok(), Some(Source::DataDirectory("/d/kek".into())));
        config.keys.kek_file = Some("/etc/kek".into());
        assert!(matches!(Source::find(&config, Some(Secret::from("x"))), Err(StartError::TwoKeks)));
    }

    #[test]
    fn replicas_that_share_a_store_are_given_their_key() {
        let mut config = Config::default();
        config.store.kind = StoreKind::Postgres;
        assert!(matches!(Source::find(&config, None), Err(StartError::KekNeeded)));
        assert!(Source::find(&config, Some(Secret::from("x"))).is_ok());
    }
}
