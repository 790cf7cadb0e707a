//! Tells who started this process where it listens.
//!
//! Guarantees that the file is whole whenever it exists: written beside its place, then renamed.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

/// Writes `{"http":"<address>"}`.
pub fn write(path: &Path, http: SocketAddr) -> io::Result<()> {
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    std::fs::write(&temporary, serde_json::json!({ "http": http.to_string() }).to_string())?;
    std::fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_names_the_bound_address() {
        let folder = std::env::temp_dir().join(format!("ready-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the temporary directory is writable");
        let path = folder.join("gateway.json");
        write(&path, SocketAddr::from(([127, 0, 0, 1], 1236))).expect("the file is written");
        let text = std::fs::read_to_string(&path).expect("the file exists");
        assert_eq!(text, r#"{"http":"127.0.0.1:1236"}"#);
        assert_eq!(std::fs::read_dir(&folder).expect("listed").count(), 1, "nothing temporary stays");
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
