//! The page's files, compiled into the program: there is no folder to read from and no path to escape from.

use axum::response::{IntoResponse, Response};
use http::header;

/// One file.
pub(crate) struct File {
    /// Where it is served.
    pub(crate) path: &'static str,
    kind: &'static str,
    content: &'static str,
}

impl File {
    /// The file.
    pub(crate) fn answer(&self) -> Response {
        ([(header::CONTENT_TYPE, self.kind)], self.content).into_response()
    }
}

macro_rules! file {
    ($path:literal, $file:literal, $kind:literal) => {
        File { path: $path, kind: $kind, content: include_str!(concat!("../page/", $file)) }
    };
}

/// All files.
pub(crate) const FILES: [File; 16] = [
    file!("/", "index.html", "text/html; charset=utf-8"),
    file!("/demo.css", "demo.css", "text/css; charset=utf-8"),
    file!("/mark.svg", "mark.svg", "image/svg+xml"),
    file!("/main.js", "main.js", "text/javascript; charset=utf-8"),
    file!("/clock.js", "clock.js", "text/javascript; charset=utf-8"),
    file!("/session.js", "session.js", "text/javascript; charset=utf-8"),
    file!("/gateway-socket.js", "gateway-socket.js", "text/javascript; charset=utf-8"),
    file!("/gateway-row.js", "gateway-row.js", "text/javascript; charset=utf-8"),
    file!("/user-panel.js", "user-panel.js", "text/javascript; charset=utf-8"),
    file!("/anonymous-panel.js", "anonymous-panel.js", "text/javascript; charset=utf-8"),
    file!("/receipt.js", "receipt.js", "text/javascript; charset=utf-8"),
    file!("/revocation.js", "revocation.js", "text/javascript; charset=utf-8"),
    file!("/chat.js", "chat.js", "text/javascript; charset=utf-8"),
    file!("/session-list.js", "session-list.js", "text/javascript; charset=utf-8"),
    file!("/template.js", "template.js", "text/javascript; charset=utf-8"),
    file!("/timeline.js", "timeline.js", "text/javascript; charset=utf-8"),
];
