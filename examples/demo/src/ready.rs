//! Tells whoever started the process where it listens.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;

/// Writes `{"http":"<address>"}`, so that a reader sees all of it or nothing.
pub(crate) fn announce(file: &Path, bound: SocketAddr) -> std::io::Result<()> {
    let name = file.file_name().ok_or_else(|| Error::from(ErrorKind::InvalidInput))?;
    let mut unfinished = name.to_os_string();
    unfinished.push(".tmp");
    let unfinished = file.with_file_name(unfinished);
    std::fs::write(&unfinished, serde_json::json!({ "http": bound.to_string() }).to_string())?;
    std::fs::rename(unfinished, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_file_names_the_bound_address_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("demo.json");
        announce(&file, SocketAddr::from(([127, 0, 0, 1], 1234))).expect("the folder is ours");
        assert_eq!(std::fs::read_to_string(&file).expect("it is there"), r#"{"http":"127.0.0.1:1234"}"#);
        assert_eq!(std::fs::read_dir(folder.path()).expect("it is there").count(), 1);
    }
}
