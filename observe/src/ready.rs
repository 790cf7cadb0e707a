//! Tells who started the process where it listens, which port 0 leaves open.

use std::io;
use std::path::Path;

use serde::Serialize;

/// Writes the file so that a reader sees all of it or none.
pub fn announce(file: &Path, said: &impl Serialize) -> io::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let unfinished = Path::new(&name);
    std::fs::write(unfinished, serde_json::to_vec(said)?)?;
    std::fs::rename(unfinished, file)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn the_file_holds_what_was_said_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let file = folder.path().join("ready.json");
        for port in [1, 2] {
            let said = BTreeMap::from([("http", SocketAddr::from(([127, 0, 0, 1], port)))]);
            announce(&file, &said).expect("it can be written");
            let text = std::fs::read_to_string(&file).expect("it is there");
            assert_eq!(text, format!(r#"{{"http":"127.0.0.1:{port}"}}"#));
        }
        assert_eq!(std::fs::read_dir(folder.path()).expect("it is there").count(), 1);
    }
}
