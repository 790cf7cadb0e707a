//! The hub route as all its connections share it.
//!
//! Owns what is the same for every socket: limits, who admits, who carries publications, and who is let in without a
//! credential.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway_core::session::{Admission, Expiry, Guest, HubLimits, Ruling};
use gateway_core::{Action, ConnectionId, Denial, Fence, Grants, Guard, InvalidPattern, Refusal, Verdict};
use portcullis_types::{Clock, Entropy, TenantId};

use crate::admission::{Entrance, Gatekeeper};
use crate::broker::Broker;
use crate::config::{Config, InvalidCredential};
use crate::credential::{CredentialRules, Presented};
use crate::enforcement::Enforcement;
use crate::inventory::Inventory;
use crate::mailbox::Mailbox;
use crate::metrics::Metrics;

/// Who comes without a credential.
#[derive(Debug)]
pub struct Guests {
    tenant: TenantId,
    grants: Arc<Grants>,
}

/// What the route's configuration says, in the form that connections use.
#[derive(Debug)]
pub struct HubRules {
    /// What a session allows.
    pub limits: Arc<HubLimits>,
    /// The audience a credential must be meant for.
    pub audience: Arc<str>,
    /// What may be presented.
    pub credentials: CredentialRules,
    /// Bytes that may wait for one socket.
    pub outgoing_bytes: usize,
    /// How long a write may be stuck.
    pub write_timeout: Duration,
    guests: Option<Guests>,
    invalid_credential: InvalidCredential,
}

impl HubRules {
    /// From the configuration.
    pub fn new(config: &Config) -> Result<Self, InvalidPattern> {
        let guests = match &config.hub.anonymous {
            None => None,
            Some(anonymous) => {
                let list = anonymous.subscribe.iter().map(|pattern| (Action::Subscribe, pattern.as_str()));
                Some(Guests { tenant: anonymous.tenant.clone(), grants: Arc::new(Grants::compile(list)?) })
            }
        };
        Ok(Self {
            limits: Arc::new(session_limits(config)),
            audience: config.hub.audience.as_str().into(),
            credentials: CredentialRules {
                most_bytes: config.limits.credential_bytes,
                allow_api_keys: config.hub.allow_api_keys,
            },
            outgoing_bytes: config.limits.outgoing_bytes_per_socket,
            write_timeout: Duration::from_millis(config.limits.write_timeout_ms),
            guests,
            invalid_credential: config.hub.invalid_credential,
        })
    }

    /// Whether somebody may come without a credential.
    pub const fn takes_guests(&self) -> bool {
        self.guests.is_some()
    }

    /// What becomes of a client whose credential, or lack of one, was refused.
    pub fn ruling_on(&self, refusal: Refusal) -> Ruling {
        let welcome = refusal.denial() == Denial::NoCredential
            || (self.invalid_credential == InvalidCredential::Anonymous && is_about_the_credential(refusal.denial()));
        match &self.guests {
            Some(guests) if welcome => Ruling::Anonymous(Guest {
                tenant: guests.tenant.clone(),
                grants: Arc::clone(&guests.grants),
                reason: refusal.denial(),
            }),
            Some(_) | None => Ruling::Refused(refusal),
        }
    }
}

/// Whether the credential is bad in itself. Everything else is refused on every route: what is wrong with the request or
/// the page, and what may be different in a moment.
const fn is_about_the_credential(denial: Denial) -> bool {
    match denial {
        Denial::Malformed
        | Denial::Unknown
        | Denial::Invalid
        | Denial::Expired
        | Denial::CredentialRevoked
        | Denial::SessionRevoked
        | Denial::IdentityRevoked
        | Denial::IdentityDisabled
        | Denial::TenantRevoked
        | Denial::WrongAudience
        | Denial::WrongOrigin
        | Denial::WrongAddress
        | Denial::Spent
        | Denial::WrongKind => true,
        Denial::NoCredential
        | Denial::CredentialInUrl
        | Denial::TwoCredentials
        | Denial::AnotherIdentity
        | Denial::AuthorityUnavailable
        | Denial::NotReady
        | Denial::RouteOverBound
        | Denial::OriginNotAllowed
        | Denial::ConnectionLimit
        | Denial::Overloaded => false,
    }
}

fn session_limits(config: &Config) -> HubLimits {
    let limits = &config.limits;
    // An SDK follows all its channels again at once, in one message.
    let at_once = limits.subscriptions_per_socket.saturating_add(32);
    let burst = usize::try_from(limits.commands_per_second).unwrap_or(usize::MAX).saturating_mul(2).max(at_once);
    HubLimits {
        message_bytes: limits.message_bytes,
        json_depth: limits.json_depth,
        commands_per_message: at_once,
        subscriptions: limits.subscriptions_per_socket,
        commands_per_second: limits.commands_per_second,
        command_burst: u16::try_from(burst).unwrap_or(u16::MAX),
        credential_bytes: limits.credential_bytes,
        connect_timeout: Duration::from_millis(limits.connect_timeout_ms),
        ping_interval: Duration::from_millis(config.ping.interval_ms),
        pong_timeout: Duration::from_millis(config.ping.pong_timeout_ms),
        version: concat!("portcullis ", env!("CARGO_PKG_VERSION")).into(),
    }
}

/// See the module.
#[derive(Debug)]
pub struct Hub {
    /// What the configuration says.
    pub rules: HubRules,
    /// Who admits.
    pub gatekeeper: Gatekeeper,
    /// Who may still be connected.
    pub enforcement: Arc<Enforcement>,
    /// Who carries publications.
    pub broker: Arc<dyn Broker>,
    /// The open sockets.
    pub inventory: Arc<Inventory>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
}

/// What was decided about a credential.
#[derive(Debug)]
pub struct Judged {
    /// What the session is told.
    pub ruling: Ruling,
    /// What stands before each frame from now on, for somebody who was admitted.
    pub guard: Option<Arc<Guard>>,
}

impl Hub {
    /// The gateway's public name for a new connection.
    pub fn client_name(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.entropy.array::<16>())
    }

    /// Judges what opens a connection.
    pub async fn judge(&self, seat: SeatRef, presented: &Presented, entrance: &Entrance) -> Judged {
        let waker: Arc<dyn gateway_core::Wake> = seat.mailbox;
        match self.gatekeeper.admit(seat.connection, presented, entrance, &waker).await {
            Ok(admitted) => {
                Judged { ruling: Ruling::Admitted(self.admission(&admitted.verdict)), guard: Some(admitted.guard) }
            }
            Err(refusal) => Judged { ruling: self.rules.ruling_on(refusal), guard: None },
        }
    }

    /// Judges a newer credential of an open connection.
    pub async fn judge_newer(&self, seat: SeatRef, presented: &Presented, entrance: &Entrance) -> Judged {
        let ruling = match self.gatekeeper.refresh(seat.connection, presented, entrance).await {
            Ok(verdict) => Ruling::Admitted(self.admission(&verdict)),
            Err(refusal) => Ruling::Refused(refusal),
        };
        Judged { ruling, guard: None }
    }

    /// A connection that was fenced by this is closed.
    pub fn closed(&self, fence: Fence) {
        self.metrics.close.observe(self.clock.boottime().saturating_since(fence.at).as_secs_f64());
        if let Some(entry) = fence.by {
            self.enforcement.closings().count(entry);
        }
    }

    fn admission(&self, verdict: &Verdict) -> Admission {
        let (now, wall) = (self.clock.boottime(), self.clock.now());
        let expires = verdict.expires_at.map(|at| Expiry { at, shown: wall + at.saturating_since(now) });
        Admission { principal: Arc::clone(&verdict.principal), expires, revision: verdict.revision }
    }
}

/// A connection's name and mailbox, for work that is done on its behalf.
#[derive(Clone, Debug)]
pub struct SeatRef {
    /// Its name in this process.
    pub connection: ConnectionId,
    /// Where its task finds what others leave for it.
    pub mailbox: Arc<Mailbox>,
}

/// A connection's entries in the inventory and in the enforcer's registry; dropped, they are gone.
#[derive(Debug)]
pub struct Seat {
    hub: Arc<Hub>,
    seat: SeatRef,
}

impl Seat {
    /// For a new connection; none when there are as many as may be.
    pub fn take(hub: &Arc<Hub>) -> Option<Self> {
        let mailbox = Arc::new(Mailbox::new(hub.rules.outgoing_bytes));
        let connection = hub.inventory.enter(Arc::clone(&mailbox))?;
        Some(Self { hub: Arc::clone(hub), seat: SeatRef { connection, mailbox } })
    }

    /// The shared hub.
    pub const fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Its name in this process.
    pub const fn connection(&self) -> ConnectionId {
        self.seat.connection
    }

    /// Where its task finds what others leave for it.
    pub const fn mailbox(&self) -> &Arc<Mailbox> {
        &self.seat.mailbox
    }

    /// Name and mailbox.
    pub fn to_ref(&self) -> SeatRef {
        self.seat.clone()
    }

    /// Leaves registry and inventory before the seat is dropped; twice does no harm. What had fenced the connection, if
    /// it was fenced, is said once, for [`Hub::closed`].
    pub fn leave(&self) -> Option<Fence> {
        let fence = self.hub.enforcement.remove(self.seat.connection);
        self.hub.inventory.leave(self.seat.connection);
        fence
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(fence) = self.leave() {
            self.hub.closed(fence);
        }
    }
}
