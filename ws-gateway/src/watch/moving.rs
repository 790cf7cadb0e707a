//! Moving the watch to another replica, or to another connection, while the old one still stands.
//!
//! A replica that leaves says so and goes on for a moment. The next watch is opened elsewhere with a cursor; when that
//! replica welcomes it as resumed it takes the old one's place, and the old one is left. So the lease is renewed without a
//! pause, and no entry is lost or applied twice: what the old one brought meanwhile comes again, and is known.
//! The same is done at the same replica when another certificate is to be shown: the old connection ends with the old one.
//! Where nobody takes the new one it is shown again after a pause: whoever vouches for it may not be known there yet.
//! Where there is only one endpoint there is nothing to open first: the watch is left at once, so that the replica need not
//! wait, and opened again, behind a load balancer at another one. Where no other takes the watch, it is opened again when
//! the old one ends.

use std::time::Duration;

use gateway_core::Input;
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::watch_response::Message as Heard;

use super::line::{Event, Line};
use super::{Driver, Said, WELCOME_TIMEOUT, read_welcome};

/// How long to wait when nobody has taken the watch on newer lines.
const RENEW_AGAIN: Duration = Duration::from_secs(5);

/// A watch that is to take the place of the one that stands.
pub(super) struct Next {
    line: Line,
    replica: usize,
    /// Which of the others it is.
    turn: usize,
}

/// What happens to the next line; nothing while there is none.
pub(super) async fn arrival(next: &mut Option<Next>) -> Event {
    match next {
        Some(next) => next.line.next().await,
        None => std::future::pending().await,
    }
}

impl Driver {
    /// The replica is leaving.
    pub(super) fn move_away(&mut self) {
        if self.parts.authority.replicas() == 1 {
            return self.lost();
        }
        self.open_next(1);
    }

    /// Moves to the newest lines, if there are newer ones than the watch stands on: another certificate is to be shown.
    /// Looked for at every tick, so that no exchange is missed, whatever else was under way when it came. What does not
    /// stand yet is judged when it does.
    pub(super) fn renew(&mut self) {
        let Line::Open { generation, .. } = &self.line else { return };
        let (is_old, now) = (*generation != self.parts.authority.generation(), self.parts.clock.boottime());
        if is_old && self.welcomed && self.next.is_none() && now >= self.renew_after {
            self.renew_after = now + RENEW_AGAIN;
            self.open_next(0);
        }
    }

    /// Opens the next watch at the replica that comes so many after this one.
    fn open_next(&mut self, turn: usize) {
        let replicas = self.parts.authority.replicas();
        let cursor = self.parts.enforcement.applied().filter(|_| turn < replicas);
        let Some(cursor) = cursor else {
            tracing::warn!("no replica takes the watch over");
            self.next = None;
            // Nothing stands any more: no need to wait for what was to come.
            return if matches!(self.line, Line::Pausing(_)) {
                self.pause()
            };
        };
        let replica = (self.replica + turn) % replicas;
        let line = Line::opening(&self.parts.authority, replica, self.parts.clock.boottime());
        if let Some(requests) = line.requests() {
            let start = Said::Start(self.start_at(Some(cursor)));
            let _sent = requests.try_send(v1::WatchRequest { message: Some(start) });
        }
        self.next = Some(Next { line, replica, turn });
    }

    /// Something happened to the next watch.
    pub(super) fn on_next(&mut self, event: Event) {
        let Some(next) = &mut self.next else { return };
        let turn = next.turn;
        match event {
            Event::Opened(Ok(opened)) => next.line.stands(opened, self.parts.clock.boottime()),
            Event::Heard(Ok(Some(response))) => match response.message {
                Some(Heard::Welcome(welcome)) if welcome.resumed => self.move_over(welcome),
                _ => self.open_next(turn + 1),
            },
            Event::Opened(Err(_)) | Event::Heard(Err(_) | Ok(None)) | Event::Paused => self.open_next(turn + 1),
        }
    }

    /// It does not come.
    pub(super) fn tick_next(&mut self) {
        let Some(next) = &self.next else { return };
        let now = self.parts.clock.boottime();
        if next.line.since().is_none_or(|since| now.saturating_since(since) >= WELCOME_TIMEOUT) {
            let turn = next.turn;
            self.open_next(turn + 1);
        }
    }

    fn move_over(&mut self, welcome: v1::WatchWelcome) {
        let (Some(next), Some(welcome)) = (self.next.take(), read_welcome(welcome)) else { return };
        tracing::info!(replica = next.replica, "the watch stands where it was moved to");
        (self.line, self.replica) = (next.line, next.replica);
        self.parts.metrics.watches.inc();
        self.parts.metrics.moves.inc();
        self.parts.enforcement.closings().tell_again();
        self.welcomed = true;
        self.step(Input::Moved(welcome));
    }
}
