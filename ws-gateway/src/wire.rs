//! The WebSocket on a TCP stream, so that every read and every write is a step of its own.
//!
//! Owns framing. Reading, control frames and the close handshake are tungstenite's; application frames are written from
//! here, straight from the shared buffer, so that nothing is copied per receiver, nothing is kept after a large frame,
//! and it is known at every moment whether a frame was begun.
//! Guarantees: a control frame never stands inside an application frame; at most one application frame is under way.
//! Refuses frames and messages over the limit, unmasked frames, extensions, and text that is not UTF-8.

use std::io::{self, IoSlice, Read, Write};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use gateway_core::CloseReason;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::frame::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error, Message};

/// What is allocated for reading, for as long as the socket is open.
const READ_BUFFER: usize = 2 * 1_024;

/// Reads in one turn, so that a peer that sends without end does not keep others waiting.
const READS_A_TURN: usize = 16;

/// Bytes a peer may send beside its longest message, in headers and fragments, before the message is whole.
const FRAMING_BYTES: usize = 16 * 1_024;

/// Control frames waiting for a slow peer; more end the socket.
const CONTROL_BUFFER: usize = 1_024;

/// What came from the client.
#[derive(Debug)]
pub enum Incoming {
    /// A text message.
    Text(Utf8Bytes),
    /// A ping or a pong, already dealt with.
    Control,
    /// It closed, or is gone.
    Closed,
    /// What it sent ends the socket.
    Refused(CloseReason),
}

/// How writing went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Everything that was begun is with the kernel.
    All,
    /// A part is, and there may be room for more.
    Part,
}

/// See the module.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    context: Box<WebSocketContext>,
    frame: Option<Frame>,
    /// What is said while no application frame may pass.
    notice: Option<Frame>,
    control_waits: bool,
    /// Bytes read since the last whole message: fragments may be empty, so their sum alone bounds nothing.
    read_since: usize,
    most_read: usize,
}

#[derive(Debug)]
struct Frame {
    header: [u8; 10],
    header_len: usize,
    payload: Bytes,
    written: usize,
}

impl Frame {
    /// An unmasked final text frame (RFC 6455, 5.2).
    fn text(payload: Bytes) -> Self {
        let mut header = [0; 10];
        header[0] = 0x81;
        let header_len = match payload.len() {
            len @ 0..=125 => {
                header[1] = u8::try_from(len).unwrap_or(0);
                2
            }
            len => match u16::try_from(len) {
                Ok(len) => {
                    header[1] = 126;
                    header[2..4].copy_from_slice(&len.to_be_bytes());
                    4
                }
                Err(_) => {
                    header[1] = 127;
                    header[2..10].copy_from_slice(&(len as u64).to_be_bytes());
                    10
                }
            },
        };
        Self { header, header_len, payload, written: 0 }
    }

    fn rest(&self) -> [&[u8]; 2] {
        let header = &self.header[..self.header_len];
        match self.written.checked_sub(self.header_len) {
            None => [&header[self.written..], &self.payload],
            Some(of_payload) => [&[], &self.payload[of_payload..]],
        }
    }

    fn is_written(&self) -> bool {
        self.written == self.header_len + self.payload.len()
    }

    /// Makes one write; true when it was the last.
    fn poll_write(&mut self, stream: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            let [header, payload] = self.rest();
            match stream.try_write_vectored(&[IoSlice::new(header), IoSlice::new(payload)]) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(written) => {
                    self.written += written;
                    return Poll::Ready(Ok(self.is_written()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(stream.poll_write_ready(cx))?,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// The stream as tungstenite sees it: it never waits, and takes nothing while an application frame is begun.
struct Io<'a> {
    stream: &'a TcpStream,
    may_write: bool,
    reads_left: usize,
    read: usize,
}

impl<'a> Io<'a> {
    const fn new(stream: &'a TcpStream, may_write: bool) -> Self {
        Self { stream, may_write, reads_left: READS_A_TURN, read: 0 }
    }
}

impl Read for Io<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads_left = self.reads_left.checked_sub(1).ok_or(io::ErrorKind::WouldBlock)?;
        let read = self.stream.try_read(buffer)?;
        self.read += read;
        Ok(read)
    }
}

impl Write for Io<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if self.may_write { self.stream.try_write(buffer) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Wire {
    /// On a stream whose handshake is done, and of which this much was read already.
    pub fn new(stream: TcpStream, read: &[u8], message_bytes: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(CONTROL_BUFFER)
            .max_message_size(Some(message_bytes))
            .max_frame_size(Some(message_bytes));
        // Copied: taking the bytes over would keep the buffer that the whole request was read into, four times this one.
        let context = WebSocketContext::from_partially_read(read.to_vec(), Role::Server, Some(config));
        let most_read = 2 * message_bytes + FRAMING_BYTES;
        Self {
            stream,
            context: Box::new(context),
            frame: None,
            notice: None,
            control_waits: false,
            read_since: 0,
            most_read,
        }
    }

    /// Reads the next message.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        let mut io = Io::new(&self.stream, !self.has_begun());
        loop {
            let result = self.context.read(&mut io);
            let turn_is_over = io.reads_left == 0;
            self.read_since += std::mem::take(&mut io.read);
            match result {
                Ok(message) => {
                    self.read_since = 0;
                    return Poll::Ready(self.received(message));
                }
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.read_since > self.most_read {
                        return Poll::Ready(Incoming::Refused(CloseReason::MessageTooBig));
                    }
                    if turn_is_over {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    if ready!(self.stream.poll_read_ready(cx)).is_err() {
                        return Poll::Ready(Incoming::Closed);
                    }
                }
                Err(error) => return Poll::Ready(refused(&error)),
            }
        }
    }

    fn received(&mut self, message: Message) -> Incoming {
        match message {
            Message::Text(text) => Incoming::Text(text),
            // The protocol is text; its own number for what makes no sense stops a client that would only repeat it.
            Message::Binary(_) => Incoming::Refused(CloseReason::BadRequest),
            Message::Ping(_) => {
                self.control_waits = true;
                Incoming::Control
            }
            Message::Pong(_) | Message::Frame(_) => Incoming::Control,
            Message::Close(_) => {
                self.control_waits = true;
                Incoming::Closed
            }
        }
    }

    /// Whether an application frame is under way.
    pub const fn is_writing(&self) -> bool {
        self.frame.is_some()
    }

    /// Whether a part of an application frame is with the kernel: nothing else can be said to the client before the rest.
    pub fn has_begun(&self) -> bool {
        [&self.frame, &self.notice].into_iter().flatten().any(|frame| frame.written > 0)
    }

    /// Says something that is not the application's, as soon as no application frame is half written. What was to be said
    /// before and has not begun gives way.
    pub fn begin_notice(&mut self, payload: Bytes) {
        if self.notice.as_ref().is_none_or(|notice| notice.written == 0) {
            self.notice = Some(Frame::text(payload));
        }
    }

    /// Puts an application frame under way. Only when none is.
    pub fn begin(&mut self, payload: Bytes) {
        self.frame = Some(Frame::text(payload));
    }

    /// Makes one write of what is under way. The guard is asked right before each call.
    pub fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Written>> {
        ready!(self.poll_control(cx))?;
        let Some(frame) = &mut self.frame else { return Poll::Ready(Ok(Written::All)) };
        let all = ready!(frame.poll_write(&self.stream, cx))?;
        if all {
            self.frame = None;
        }
        Poll::Ready(Ok(if all { Written::All } else { Written::Part }))
    }

    /// Writes what is not the application's: a notice, then pongs. They carry nothing that a fence could forbid, and wait
    /// while an application frame is half written.
    pub fn poll_control(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.frame.as_ref().is_some_and(|frame| frame.written > 0) {
            return Poll::Ready(Ok(()));
        }
        while let Some(notice) = &mut self.notice {
            if ready!(notice.poll_write(&self.stream, cx))? {
                self.notice = None;
            }
        }
        loop {
            if !self.control_waits {
                return Poll::Ready(Ok(()));
            }
            let mut io = Io::new(&self.stream, true);
            match self.context.flush(&mut io) {
                Ok(()) | Err(Error::ConnectionClosed) => self.control_waits = false,
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.stream.poll_write_ready(cx))?;
                }
                Err(_) => return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            }
        }
    }

    /// Queues a close frame in the place of whatever has not begun. Nothing else is said afterwards.
    pub fn begin_close(&mut self, reason: CloseReason) {
        self.frame = None;
        self.notice = None;
        self.control_waits = true;
        let frame = CloseFrame { code: reason.code().into(), reason: Utf8Bytes::from_static(reason.text()) };
        // Whatever it says: the frame is queued, and flushing tells how it went.
        let _queued = self.context.close(&mut Io::new(&self.stream, false), Some(frame));
    }

    /// Drops a frame that has not begun.
    pub fn abandon(&mut self) {
        self.frame = None;
    }

    /// Drops the application frame that is under way, unless a part of it is with the kernel already.
    pub fn abandon_unbegun(&mut self) {
        if self.frame.as_ref().is_some_and(|frame| frame.written == 0) {
            self.frame = None;
        }
    }

    /// Reads and forgets until the peer has closed. Ends with an error when it breaks off.
    pub fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; 512];
        for _ in 0..READS_A_TURN {
            match self.stream.try_read(&mut scratch) {
                Ok(0) => return Poll::Ready(Ok(())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.stream.poll_read_ready(cx))?,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Says to the kernel that nothing more will be written.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        tokio::io::AsyncWriteExt::shutdown(&mut self.stream).await
    }

    /// Ends the connection at once, and takes back what the kernel has not sent yet.
    pub fn abort(self) {
        // Without it the kernel would go on sending; there is nothing else to be done then.
        let _set = self.stream.set_zero_linger();
    }
}

fn refused(error: &Error) -> Incoming {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed | Error::Io(_) => Incoming::Closed,
        Error::Protocol(tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
            Incoming::Closed
        }
        Error::Capacity(_) => Incoming::Refused(CloseReason::MessageTooBig),
        // Frames that break RFC 6455 or are not UTF-8; the rest cannot happen after the handshake.
        _ => Incoming::Refused(CloseReason::BadRequest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_shortest_header_of_the_standard() {
        for (len, header) in [
            (0, vec![0x81, 0]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (65_535, vec![0x81, 126, 0xff, 0xff]),
            (65_536, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let frame = Frame::text(Bytes::from(vec![b'x'; len]));
            assert_eq!(frame.rest()[0], header, "{len}");
            assert_eq!(frame.rest()[1].len(), len);
        }
    }

    #[test]
    fn a_frame_goes_on_where_it_was_interrupted() {
        let mut frame = Frame::text(Bytes::from_static(b"abc"));
        let mut sent = Vec::new();
        while !frame.is_written() {
            sent.push(frame.rest().concat()[0]);
            frame.written += 1;
        }
        assert_eq!(sent, [0x81, 3, b'a', b'b', b'c']);
    }
}
