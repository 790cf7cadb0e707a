//! Files that only their owner may read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use portcullis_types::Secret;

/// Writes a file of mode 0600, all of it or nothing, durably. One that is there is replaced.
pub(crate) fn write(file: &Path, content: &[u8]) -> io::Result<()> {
    let unfinished = unfinished(file, content)?;
    fs::rename(unfinished, file)?;
    File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// As [`write`], where no such file is there yet; one that is stays as it is.
pub(crate) fn create(file: &Path, content: &[u8]) -> io::Result<()> {
    let unfinished = unfinished(file, content)?;
    // A link is never made over something.
    let made = fs::hard_link(&unfinished, file);
    fs::remove_file(&unfinished)?;
    made?;
    File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
}

fn unfinished(file: &Path, content: &[u8]) -> io::Result<PathBuf> {
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    let unfinished = PathBuf::from(name);
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    out.write_all(content)?;
    out.sync_all()?;
    Ok(unfinished)
}

/// Reads a file that only its owner may read; absent when it is not there.
pub(crate) fn read(file: &Path) -> io::Result<Option<Secret>> {
    let mode = match fs::metadata(file) {
        Ok(metadata) => metadata.permissions().mode(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if mode & 0o077 != 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "others may read it; set its mode to 0600"));
    }
    fs::read(file).map(|content| Some(Secret::new(content)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_private_and_read_back() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let file = folder.path().join("key");
        assert_eq!(read(&file).expect("it may be absent"), None);
        write(&file, b"one").expect("it can be written");
        write(&file, b"two").expect("it can be replaced");
        assert_eq!(read(&file).expect("it is private"), Some(Secret::from("two")));
        let mode = fs::metadata(&file).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_is_there_is_not_overwritten_where_it_must_not_be() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let file = folder.path().join("key");
        create(&file, b"one").expect("it can be made");
        let error = create(&file, b"two").expect_err("it is there");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(&file).expect("it is private"), Some(Secret::from("one")));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing else is left");
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let file = folder.path().join("key");
        write(&file, b"one").expect("it can be written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("it is ours");
        assert!(read(&file).is_err());
    }
}
