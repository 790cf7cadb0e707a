//! Files that only their owner may read, whole whenever they exist.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Makes a directory of mode 0700, and those above it, unless it exists.
pub(super) fn make_private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file of mode 0600: beside its place, then renamed.
pub(super) fn write_private(path: &Path, content: &str) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::from(ErrorKind::InvalidInput))?;
    let mut unfinished = name.to_os_string();
    unfinished.push(format!(".{}.tmp", std::process::id()));
    let unfinished = path.with_file_name(unfinished);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    fs::rename(unfinished, path)
}

/// Removes a file that may not be there.
pub(super) fn remove(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => eprintln!("cannot remove {}: {error}", path.display()),
    }
}

/// A directory of a test, removed at its end.
#[cfg(test)]
pub(super) mod testing {
    use std::path::PathBuf;

    use portcullis_types::{Entropy, SystemEntropy};

    pub(in crate::dev) struct Folder(pub(in crate::dev) PathBuf);

    impl Folder {
        pub(in crate::dev) fn new() -> Self {
            let path = std::env::temp_dir().join(format!("xtask-test-{:016x}", <dyn Entropy>::u64(&SystemEntropy)));
            super::make_private_directory(&path).expect("the temporary directory is writable");
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).expect("the folder is ours");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::testing::Folder;
    use super::*;

    #[test]
    fn a_private_file_is_readable_by_its_owner_only_and_leaves_nothing_beside_it() {
        let folder = Folder::new();
        let file = folder.0.join("secret");
        for content in ["first, longer", "second"] {
            write_private(&file, content).expect("written");
            assert_eq!(fs::read_to_string(&file).expect("there"), content);
        }
        let mode = fs::metadata(&file).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&folder.0).expect("there").count(), 1);
        remove(&file);
        remove(&file);
        assert!(!file.exists());
    }
}
