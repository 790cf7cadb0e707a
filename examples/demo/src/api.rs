//! What the page asks of its own back end: whom to show, and to end what they hold.
//!
//! Guarantees: only the users of the page can be named. It asks nobody to log in for this, because the page stands for
//! an administrator's tool too; a real back end would check here that the caller may do what it asks.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use http::StatusCode;
use portcullis_proto::auth::v1::{IdentityState, Revision as WireRevision, SessionState};
use portcullis_types::{Revision, SessionId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::app::{App, SharedApp};
use crate::edge::BODY_REFUSED;
use crate::problem::Problem;

const MALFORMED: Problem =
    Problem::new(StatusCode::BAD_REQUEST, "malformed", "The request does not have the fields this path wants.");
const UNKNOWN_USER: Problem =
    Problem::new(StatusCode::NOT_FOUND, "unknown_user", "The demonstration has no user of this name.");

/// Where everybody who is logged in may talk.
const LOBBY: &str = "room:lobby";
/// What everybody may read, logged in or not.
const NEWS: &str = "public:news";
/// A personal channel is this and the identity's id.
const PERSONAL_PREFIX: &str = "@";

/// What the page needs to begin.
#[derive(Debug, Serialize)]
pub(crate) struct Config {
    tenant: String,
    gateways: Vec<String>,
    channels: Channels,
    users: Vec<User>,
}

#[derive(Debug, Serialize)]
struct Channels {
    lobby: &'static str,
    public: &'static str,
    personal_prefix: &'static str,
}

/// A user of the page. `id` and `state` are absent while the authority does not answer.
#[derive(Debug, Serialize)]
struct User {
    name: String,
    password: String,
    id: Option<String>,
    state: Option<&'static str>,
}

/// The answer to what ends or allows something.
#[derive(Debug, Serialize)]
pub(crate) struct Done {
    /// The event's revision; absent where nothing was ended.
    revision: Option<Revision>,
    /// When it was committed, in milliseconds since 1970.
    committed_at_ms: Option<f64>,
    /// The bound; absent where nothing was ended.
    enforced_within_ms: Option<i64>,
}

/// One login of a user.
#[derive(Debug, Serialize)]
pub(crate) struct SessionLine {
    id: String,
    state: &'static str,
    device: String,
    created_at_ms: Option<f64>,
}

/// Names a user of the page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ByName {
    name: String,
}

/// Names a session.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BySession {
    session: SessionId,
}

type Body = Result<Bytes, BytesRejection>;

/// `GET /api/config`.
pub(crate) async fn config(State(app): SharedApp) -> Json<Config> {
    let mut users = Vec::with_capacity(app.passwords.len());
    for (name, password) in &app.passwords {
        let found = app.authority.identity(name).await.ok().flatten();
        users.push(User {
            name: name.clone(),
            password: password.expose_str().unwrap_or_default().to_owned(),
            state: found.as_ref().and_then(|identity| identity_state(identity.state)),
            id: found.map(|identity| identity.id),
        });
    }
    Json(Config {
        tenant: app.authority.tenant().to_string(),
        gateways: app.gateways.iter().map(|gateway| gateway.url.clone()).collect(),
        channels: Channels { lobby: LOBBY, public: NEWS, personal_prefix: PERSONAL_PREFIX },
        users,
    })
}

/// `GET /api/sessions?name=`.
pub(crate) async fn sessions(
    State(app): SharedApp,
    query: Result<Query<ByName>, QueryRejection>,
) -> Result<Json<Vec<SessionLine>>, Problem> {
    let Query(ByName { name }) = query.map_err(|_| MALFORMED)?;
    let sessions = app.authority.sessions(known(&app, &name)?).await?;
    let line = |session: portcullis_proto::auth::v1::Session| SessionLine {
        state: session_state(session.state),
        created_at_ms: session.created_at.map(|at| millis(at.seconds, at.nanos)),
        id: session.id,
        device: session.device,
    };
    Ok(Json(sessions.into_iter().map(line).collect()))
}

/// `POST /api/revoke-session`.
pub(crate) async fn revoke_session(State(app): SharedApp, body: Body) -> Result<Json<Done>, Problem> {
    let BySession { session } = parse(body)?;
    let answer = app.authority.revoke_session(session).await?;
    done(answer.revision, answer.committed_at.map(|at| millis(at.seconds, at.nanos)), Some(answer.enforced_within_ms))
}

/// `POST /api/revoke-identity`.
pub(crate) async fn revoke_identity(State(app): SharedApp, body: Body) -> Result<Json<Done>, Problem> {
    let ByName { name } = parse(body)?;
    let answer = app.authority.revoke_identity(known(&app, &name)?).await?;
    done(answer.revision, answer.committed_at.map(|at| millis(at.seconds, at.nanos)), Some(answer.enforced_within_ms))
}

/// `POST /api/disable`.
pub(crate) async fn disable(State(app): SharedApp, body: Body) -> Result<Json<Done>, Problem> {
    let ByName { name } = parse(body)?;
    let answer = app.authority.disable(known(&app, &name)?).await?;
    done(answer.revision, answer.committed_at.map(|at| millis(at.seconds, at.nanos)), Some(answer.enforced_within_ms))
}

/// `POST /api/enable`.
pub(crate) async fn enable(State(app): SharedApp, body: Body) -> Result<Json<Done>, Problem> {
    let ByName { name } = parse(body)?;
    app.authority.enable(known(&app, &name)?).await?;
    done(None, None, None)
}

fn parse<T: DeserializeOwned>(body: Body) -> Result<T, Problem> {
    let body = body.map_err(|_| BODY_REFUSED)?;
    serde_json::from_slice(&body).map_err(|_| MALFORMED)
}

fn known<'a>(app: &Arc<App>, name: &'a str) -> Result<&'a str, Problem> {
    if app.passwords.contains_key(name) { Ok(name) } else { Err(UNKNOWN_USER) }
}

fn done(
    revision: Option<WireRevision>,
    committed_at_ms: Option<f64>,
    enforced_within_ms: Option<i64>,
) -> Result<Json<Done>, Problem> {
    let revision = revision.map(Revision::try_from).transpose().map_err(|_| UNKNOWN_REVISION)?;
    Ok(Json(Done { revision, committed_at_ms, enforced_within_ms }))
}

const UNKNOWN_REVISION: Problem =
    Problem::new(StatusCode::BAD_GATEWAY, "authority_failed", "The authority answered with a revision not known here.");

/// Milliseconds since 1970 with their fraction; exact to the microsecond until the year 2255.
#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^53")]
fn millis(seconds: i64, nanos: i32) -> f64 {
    seconds as f64 * 1_000.0 + f64::from(nanos) / 1_000_000.0
}

fn identity_state(wire: i32) -> Option<&'static str> {
    match IdentityState::try_from(wire).ok()? {
        IdentityState::Active => Some("active"),
        IdentityState::Disabled => Some("disabled"),
        IdentityState::Deleted => Some("deleted"),
        IdentityState::Unspecified => None,
    }
}

fn session_state(wire: i32) -> &'static str {
    match SessionState::try_from(wire) {
        Ok(SessionState::Active) => "active",
        Ok(SessionState::Revoked) => "revoked",
        Ok(SessionState::Expired) => "expired",
        Ok(SessionState::Unspecified) | Err(_) => "unknown",
    }
}
