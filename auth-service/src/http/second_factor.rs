//! `POST /v1/second-factor/enrol`, `/confirm`, `/recovery-codes` and `/remove`: an authenticator app, by whoever is logged
//! in. What a stolen session must not do needs the password too; what whoever also has the password must not do, a code.

use auth_domain::{CookieUse, FactorCode, OwnFactorError, OwnProof, Refusal, SecondFactorError, TotpConfirmation};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header;
use portcullis_types::Secret;
use serde::{Deserialize, Serialize};

use super::asker::{Asker, Asking};
use super::credential::Taken;
use super::problem::Problem;
use super::{Edge, body, seconds_up, session_cookie, text_of};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordRequest {
    password: String,
    #[serde(default)]
    device_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfirmRequest {
    totp_code: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OwnRequest {
    password: String,
    proof: Given,
    #[serde(default)]
    device_token: Option<String>,
}

/// One of these.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Given {
    TotpCode(String),
    RecoveryCode(String),
}

impl OwnRequest {
    fn proof(self, asker: &Asker) -> OwnProof {
        let code = match self.proof {
            Given::TotpCode(code) => FactorCode::Totp(Secret::from(code)),
            Given::RecoveryCode(code) => FactorCode::Recovery(Secret::from(code)),
        };
        let device = asker.device(self.device_token.as_deref());
        OwnProof { password: Secret::from(self.password), code, from: asker.from, device }
    }
}

#[derive(Serialize)]
struct EnrolResponse {
    secret: String,
    uri: String,
}

#[derive(Serialize)]
struct CodesResponse {
    recovery_codes: Vec<String>,
}

impl CodesResponse {
    fn of(codes: &[Secret]) -> Result<Self, Problem> {
        Ok(Self { recovery_codes: codes.iter().map(text_of).collect::<Result<_, _>>()? })
    }
}

#[derive(Serialize)]
struct RemoveResponse {
    removed: bool,
}

impl Asker {
    /// The answer, with another cookie: what its holder may do has changed.
    async fn answer(self, edge: &Edge, answer: impl Serialize + Send) -> Result<Response, Problem> {
        let cookie = match &self.taken {
            Taken::Bearer(_) => None,
            Taken::Cookie(cookie) => match edge.authority.exchange_cookie(cookie).await?.map_err(Problem::Denied)? {
                CookieUse::Kept => None,
                CookieUse::Exchanged { value, expires_in } => {
                    Some(session_cookie::set(&value, expires_in.as_secs()).ok_or(Problem::Internal)?)
                }
            },
        };
        let cookie = cookie.map(|cookie| [(header::SET_COOKIE, cookie)]);
        Ok((cookie, Json(answer)).into_response())
    }
}

/// Shows the secret of a new app, once.
pub(super) async fn enrol(
    State(edge): State<Edge>,
    asking: Asking,
    body::Json(asked): body::Json<PasswordRequest>,
) -> Result<Response, Problem> {
    let asker = asking.changes(&edge).await?;
    let device = asker.device(asked.device_token.as_deref());
    let password = Secret::from(asked.password);
    let checked = edge.authority.check_own_password(&asker.tenant, &asker.which, password, asker.from, device.as_ref());
    checked.await?.map_err(refused)?;
    let enrolment = edge.authority.enrol_totp(&asker.actor, &asker.tenant, &asker.which).await?;
    // Nobody names a request at this edge, so none was answered before.
    let enrolment = enrolment.ok_or(Problem::Internal)?;
    let answer = EnrolResponse { secret: text_of(&enrolment.secret)?, uri: text_of(&enrolment.uri)? };
    Ok(Json(answer).into_response())
}

/// Makes the app count, and shows the recovery codes, once.
pub(super) async fn confirm(
    State(edge): State<Edge>,
    asking: Asking,
    body::Json(asked): body::Json<ConfirmRequest>,
) -> Result<Response, Problem> {
    let asker = asking.changes(&edge).await?;
    let code = Secret::from(asked.totp_code);
    match edge.authority.confirm_totp(&asker.actor, &asker.tenant, &asker.which, &code).await? {
        TotpConfirmation::Confirmed(codes) => {
            let answer = CodesResponse::of(&codes)?;
            asker.answer(&edge, answer).await
        }
        // Nobody names a request at this edge.
        TotpConfirmation::ConfirmedBefore => Err(Problem::Internal),
        TotpConfirmation::Refused(refusal) => Err(refused(refusal)),
    }
}

/// Shows new recovery codes, once; those before are void.
pub(super) async fn renew(
    State(edge): State<Edge>,
    asking: Asking,
    body::Json(asked): body::Json<OwnRequest>,
) -> Result<Response, Problem> {
    let asker = asking.changes(&edge).await?;
    let proof = asked.proof(&asker);
    let Asker { actor, tenant, which, .. } = &asker;
    let renewed = edge.authority.renew_own_recovery_codes(actor, tenant, which, proof).await?;
    let answer = CodesResponse::of(&renewed.map_err(refused)?)?;
    asker.answer(&edge, answer).await
}

/// Takes the app and all recovery codes away.
pub(super) async fn remove(
    State(edge): State<Edge>,
    asking: Asking,
    body::Json(asked): body::Json<OwnRequest>,
) -> Result<Response, Problem> {
    let asker = asking.changes(&edge).await?;
    let proof = asked.proof(&asker);
    let Asker { actor, tenant, which, .. } = &asker;
    let removed = edge.authority.remove_own_second_factor(actor, tenant, which, proof).await?;
    removed.map_err(refused)?;
    asker.answer(&edge, RemoveResponse { removed: true }).await
}

/// Which of the two was wrong is not told.
fn refused(refusal: Refusal) -> Problem {
    Problem::InvalidCredentials { retry_after: seconds_up(refusal.retry_after) }
}

impl From<OwnFactorError> for Problem {
    fn from(error: OwnFactorError) -> Self {
        match error {
            OwnFactorError::Password(error) => error.into(),
            OwnFactorError::Factor(error) => error.into(),
        }
    }
}

impl From<SecondFactorError> for Problem {
    fn from(error: SecondFactorError) -> Self {
        match error {
            SecondFactorError::Exists => Self::SecondFactorExists,
            SecondFactorError::NotFound => Self::NoSecondFactor,
            SecondFactorError::Begin(error) => error.into(),
            SecondFactorError::Store(error) => error.into(),
            // The identity was found a moment ago.
            SecondFactorError::IdentityNotFound => {
                tracing::error!(%error, "the second factor of a session that was just verified cannot be changed");
                Self::Internal
            }
        }
    }
}
