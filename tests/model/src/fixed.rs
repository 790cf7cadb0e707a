//! The whole protocol, in worlds where different things go wrong together.
//!
//! Owns the configurations that must hold, exhaustively: [`FIXED`] within a test run, [`LARGE`] by hand.

use crate::config::{Config, Heads, Registrations};

const CALM: Config = Config::CALM;
const FORK: Config = Config { failover: true, others: 1, ..CALM };
const ZOMBIE: Config = Config { zombie: true, replicas: 2, heads: Heads::Beats, ..CALM };
const MEMORY: Config = Config { registrations: Registrations::Memory, ..CALM };
const SHARED: Config = Config { registrations: Registrations::Shared, ..CALM };
const CACHE: Config = Config { cache: true, handshakes: 2, ..CALM };

/// A world with a name.
#[derive(Clone, Copy, Debug)]
pub struct Fixed {
    /// What goes wrong in it.
    pub name: &'static str,
    /// The world.
    pub config: Config,
}

const fn fixed(name: &'static str, config: Config) -> Fixed {
    Fixed { name, config }
}

/// Those explored in a test run.
pub const FIXED: &[Fixed] = &[
    fixed("slow clock, beats", Config { drift: 1, heads: Heads::Beats, ..CALM }),
    fixed("coalesced look-ups", Config { coalesce: true, handshakes: 2, sockets: 2, ..CALM }),
    fixed("cache, the index forgets", Config { evict: true, ..CACHE }),
    fixed("cache, crash", Config { crash: true, ..CACHE }),
    fixed("pause, slow clock, sockets closed at the deadline", Config { pause: true, drift: 1, freeze: false, ..CALM }),
    fixed("pause, slow clock, sockets frozen", Config { pause: true, drift: 1, ..CALM }),
    fixed("two replicas, broken stream", Config { replicas: 2, breaks: 1, ..CALM }),
    fixed(
        "two replicas, broken stream, other rows",
        Config { replicas: 2, breaks: 1, others: 1, queue: 1, end: 2, ..CALM },
    ),
    fixed("lossy failover, broken stream", Config { breaks: 1, end: 3, ..FORK }),
    fixed("deposed primary, broken stream", Config { breaks: 1, end: 3, ..ZOMBIE }),
    fixed("resync, broken stream, slow clock", Config { refusals: 2, breaks: 1, drift: 1, ..CALM }),
    fixed("resync on a lagging replica, cache", Config { refusals: 1, replicas: 2, end: 2, ..CACHE }),
    fixed("resync on a deposed primary", Config { refusals: 1, end: 2, ..ZOMBIE }),
    fixed("hold, cache, pause, slow clock", Config { lease: 1, hold: 1, pause: true, drift: 1, ..CACHE }),
    fixed("hold, resync, broken stream", Config { lease: 1, hold: 1, refusals: 1, breaks: 1, end: 3, ..CALM }),
    fixed("login, lossy failover", Config { login: true, end: 2, ..FORK }),
    fixed("receipts, resync", Config { refusals: 1, end: 3, ..MEMORY }),
    fixed("receipts, restart of the authority", Config { restart: true, end: 3, ..MEMORY }),
    fixed("receipts, hold, restart of the authority", Config { lease: 1, hold: 1, restart: true, end: 3, ..MEMORY }),
    fixed("receipts, replaced process", Config { pause: true, replace: true, end: 3, ..SHARED }),
    fixed("receipts, crash, broken stream", Config { crash: true, breaks: 1, end: 2, ..SHARED }),
    fixed("receipts, lossy failover", Config { registrations: Registrations::Shared, end: 1, ..FORK }),
    fixed("receipts, deposed primary", Config { registrations: Registrations::Shared, end: 1, ..ZOMBIE }),
];

/// Those that take minutes.
pub const LARGE: &[Fixed] = &[
    fixed("two replicas, broken stream, other rows", Config { replicas: 2, breaks: 1, others: 1, end: 3, ..CALM }),
    fixed("resync and cache after lossy failover", Config { refusals: 1, end: 3, cache: true, handshakes: 2, ..FORK }),
    fixed("resync on a deposed primary, slow clock", Config { refusals: 1, drift: 1, end: 3, ..ZOMBIE }),
    fixed(
        "the index forgets, pause, crash, cache, broken stream, slow clock",
        Config { evict: true, pause: true, crash: true, breaks: 1, drift: 1, ..CACHE },
    ),
    fixed("receipts, deposed primary", Config { registrations: Registrations::Shared, end: 2, ..ZOMBIE }),
    fixed("receipts, lossy failover", Config { registrations: Registrations::Shared, end: 2, ..FORK }),
    fixed("receipts, resync on a lagging replica", Config { refusals: 1, replicas: 2, end: 2, ..SHARED }),
    fixed("receipts, restart of the authority, slow clock", Config { restart: true, drift: 1, end: 3, ..MEMORY }),
    fixed("receipts, resync, restart of the authority", Config { restart: true, refusals: 1, end: 3, ..MEMORY }),
    fixed("receipts, replaced process, slow clock", Config { pause: true, replace: true, drift: 1, end: 3, ..SHARED }),
    fixed(
        "receipts, resync on a deposed primary",
        Config { refusals: 1, registrations: Registrations::Shared, end: 2, ..ZOMBIE },
    ),
];
