//! Whether a process that was started can be used: its ready file, and its own word over HTTP.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::fleet::FleetError;

/// One question over HTTP.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Enough of an answer to see its status line.
const HEAD_BYTES: usize = 1_024;

/// What a process wrote once it listened.
#[derive(Debug)]
pub(super) struct Ready {
    name: String,
    content: Value,
}

impl Ready {
    /// The file's content, if it is there yet. The programs rename it into place, so it is whole.
    pub(super) fn read(name: &str, file: &Path) -> Option<Self> {
        let content = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
        Some(Self { name: name.to_owned(), content })
    }

    /// A field that is an address.
    pub(super) fn address(&self, field: &'static str) -> Result<String, FleetError> {
        let text = self.text(field)?;
        match text.parse::<SocketAddr>() {
            Ok(address) => Ok(address.to_string()),
            Err(_) => Err(FleetError::NotReadyFile { name: self.name.clone(), field }),
        }
    }

    /// A field that is text.
    pub(super) fn text(&self, field: &'static str) -> Result<String, FleetError> {
        let text = self.content.get(field).and_then(Value::as_str).map(str::to_owned);
        text.ok_or_else(|| FleetError::NotReadyFile { name: self.name.clone(), field })
    }
}

/// Whether a GET of this path is answered with 200.
pub(super) fn is_ok(address: &str, path: &str) -> bool {
    status(address, path).is_ok_and(|status| status == 200)
}

fn status(address: &str, path: &str) -> io::Result<u16> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let address: SocketAddr = address.parse().map_err(|_| invalid())?;
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_WITHIN)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.set_write_timeout(Some(ANSWER_WITHIN))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut head = [0; HEAD_BYTES];
    let mut filled = 0;
    while filled < head.len() && !head[..filled].contains(&b'\n') {
        match stream.read(&mut head[filled..])? {
            0 => break,
            more => filled += more,
        }
    }
    let line = std::str::from_utf8(&head[..filled]).map_err(|_| invalid())?;
    line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use std::io::BufRead as _;
    use std::net::TcpListener;

    use super::*;
    use crate::dev::files::{self, testing::Folder};

    fn answering(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let address = listener.local_addr().expect("bound").to_string();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("one client");
            let head = io::BufReader::new(&stream).lines().map_while(Result::ok);
            assert!(head.take_while(|line| !line.is_empty()).count() > 0);
            stream.write_all(answer.as_bytes()).expect("the client reads");
        });
        address
    }

    #[test]
    fn only_200_means_ready() {
        assert!(is_ok(&answering("HTTP/1.1 200 OK\r\n\r\n"), "/ready"));
        assert!(!is_ok(&answering("HTTP/1.1 503 Service Unavailable\r\n\r\n"), "/ready"));
        assert!(!is_ok(&answering("no http"), "/ready"));
        assert!(!is_ok("not an address", "/ready"));
    }

    #[test]
    fn a_ready_file_is_read_when_it_is_there_and_whole() {
        let folder = Folder::new();
        let file = folder.0.join("auth.json");
        assert!(Ready::read("auth", &file).is_none());
        files::write_private(&file, r#"{"grpc":"127.0.0.1:1","http":"nowhere"}"#).expect("written");
        let ready = Ready::read("auth", &file).expect("there");
        assert_eq!(ready.address("grpc").expect("an address"), "127.0.0.1:1");
        for field in ["http", "admin_key_file"] {
            let error = ready.address(field).expect_err("no address").to_string();
            assert!(error.contains(field), "{error}");
        }
    }
}
