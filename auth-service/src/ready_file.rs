//! Tells who started the process where it listens, which port 0 leaves open.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use serde::Serialize;

/// The content of the file.
#[derive(Debug, Serialize)]
pub(crate) struct Ready<'a> {
    /// Where gRPC is spoken.
    pub(crate) grpc: SocketAddr,
    /// Where HTTP is spoken.
    pub(crate) http: SocketAddr,
    /// Where metrics are, when that is a listener of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metrics: Option<SocketAddr>,
    /// Where the first administrator's key was written.
    pub(crate) admin_key_file: &'a Path,
}

/// Writes the file so that a reader sees all of it or none.
pub(crate) fn write(file: &Path, ready: &Ready<'_>) -> io::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let unfinished = Path::new(&name);
    fs::write(unfinished, serde_json::to_vec(ready)?)?;
    fs::rename(unfinished, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_the_addresses_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let file = folder.path().join("ready.json");
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let ready =
            Ready { grpc: address(1), http: address(2), metrics: None, admin_key_file: Path::new("/d/admin.key") };
        write(&file, &ready).expect("it can be written");
        let text = fs::read_to_string(&file).expect("it is there");
        assert_eq!(text, r#"{"grpc":"127.0.0.1:1","http":"127.0.0.1:2","admin_key_file":"/d/admin.key"}"#);
        assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 1);
    }
}
