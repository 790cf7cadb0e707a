//! A bare axum server: 4 KiB buffers, no authentication, no protocol but the upgrade and one answer.

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::any;
use axum::serve::ListenerExt as _;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::error::{Outcome, While as _};
use crate::machine;

const BUFFER: usize = 4 * 1_024;
const MESSAGE: usize = 64 * 1_024;

/// As long as a gateway's answer to `connect`.
const ANSWER: &str = concat!(
    r#"{"id":1,"connect":{"client":"0190b0f8-0000-7000-8000-000000000000","version":"portcullis","data":{"#,
    r#""authenticated":true,"identity":"0190b0f8-0000-7000-8000-000000000000","tenant":"acme","#,
    r#""session":"0190b0f8-0000-7000-8000-000000000000","reason":null,"expires_at":1767225600,"#,
    r#""revision":"1000-0123456789abcdef"},"subs":{"@0190b0f8-0000-7000-8000-000000000000":{}},"ping":25,"pong":true}}"#,
);

/// Ends when this process's standard input does: with the run that started it.
pub(super) async fn nobody_listens() {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(_)) = lines.next_line().await {}
}

/// Serves until nobody holds its standard input any more; says first where it listens. Each line that it reads closes
/// all sockets that are open, and is answered with the time (microseconds since 1970) at which that began.
pub(crate) async fn run() -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await.during("listening")?;
    let address = listener.local_addr().during("listening")?;
    let closing = watch::Sender::new(());
    let app = Router::new().route("/", any(upgrade)).with_state(closing.clone());
    // Without it an answer may wait 40 ms for the peer's acknowledgement.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    println!("{}", serde_json::to_string(&address).during("saying where it listens")?);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(_close) = lines.next_line().await.during("reading an order")? {
        let began = machine::wall_us();
        closing.send_replace(());
        println!("{began}");
    }
    serving.abort();
    Ok(())
}

async fn upgrade(State(closing): State<watch::Sender<()>>, upgrade: WebSocketUpgrade) -> Response {
    let upgrade = upgrade.read_buffer_size(BUFFER).write_buffer_size(BUFFER).max_message_size(MESSAGE);
    upgrade.on_upgrade(move |socket| talk(socket, closing.subscribe()))
}

async fn talk(mut socket: WebSocket, mut closing: watch::Receiver<()>) {
    loop {
        tokio::select! {
            _ = closing.changed() => {
                let frame = CloseFrame { code: 4512, reason: "identity revoked".into() };
                // The peer may be gone; if not, it answers and ends the connection.
                let _ = socket.send(Message::Close(Some(frame))).await;
                while let Some(Ok(_)) = socket.recv().await {}
                return;
            }
            message = socket.recv() => match message {
                Some(Ok(Message::Text(_))) => {
                    if socket.send(Message::text(ANSWER)).await.is_err() {
                        return;
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
        }
    }
}
