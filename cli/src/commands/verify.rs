//! `portcullis verify`: the authority's verdict, and what it means.

use clap::Args;
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::verification_service_client::VerificationServiceClient;
use portcullis_proto::auth::v1::verify_request::Credential;
use portcullis_types::{Clock, Entropy, OpaqueKind, Secret, SystemClock, SystemEntropy};
use serde_json::{Value, json};

use super::identity::text;
use super::{present, role};
use crate::authority::Authority;
use crate::failure::Failure;
use crate::print::{Printer, Report};
use crate::table::View;
use crate::{grant, input, span, words};

const HELP: &str = "\
The credential (an access token, an API key, a session cookie's value or a ticket) comes from standard input or
PORTCULLIS_CREDENTIAL. Exit code 0: it is good; 1: it is not, or there is no verdict.

Example:
  portcullis token issue --tenant demo --name alice --only tokens.access_token | portcullis verify";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct VerifyArgs {
    /// The audience to ask for; otherwise the default audience.
    #[arg(long, default_value = "")]
    audience: String,
    /// The Origin header it would be presented with.
    #[arg(long, default_value = "")]
    origin: String,
    /// The address it would be presented from.
    #[arg(long, default_value = "")]
    remote_address: String,
    /// Verifies a ticket, which spends it: the socket it was for can no longer be opened.
    #[arg(long)]
    spend_ticket: bool,
}

pub(crate) async fn run(args: VerifyArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let credential = presented(&input::credential("credential")?, args.spend_ticket, &SystemEntropy)?;
    let context =
        v1::PresentationContext { audience: args.audience, origin: args.origin, remote_address: args.remote_address };
    let request = v1::VerifyRequest { credential: Some(credential), context: Some(context) };
    let verdict = authority
        .call(request, async |channel, request| VerificationServiceClient::new(channel).verify(request).await)
        .await?;
    if verdict.outcome() == v1::Outcome::Allowed {
        let allowed = present(verdict.allowed.clone(), "allowed part")?;
        let view = View::Fields(allowed_fields(&verdict, &allowed, &SystemClock));
        return printer.report(&Report { json: as_json(&verdict), view });
    }
    let view = View::Fields(denied_fields(&verdict));
    printer.report(&Report { json: as_json(&verdict), view })?;
    Err(Failure::Denied)
}

fn presented(credential: &Secret, spend_ticket: bool, entropy: &dyn Entropy) -> Result<Credential, Failure> {
    let form = text(credential)?;
    if OpaqueKind::claimed_by(&form) != Some(OpaqueKind::Ticket) {
        return Ok(Credential::Bearer(form));
    }
    if !spend_ticket {
        return Err(Failure::usage(
            "this is a one-time ticket: a verdict would spend it. Say --spend-ticket to do that; \
             `portcullis explain` tells what its form says",
        ));
    }
    let redemption_id = entropy.array::<16>().to_vec();
    Ok(Credential::Ticket(v1::TicketPresentation { ticket: form, redemption_id }))
}

fn allowed_fields(
    verdict: &v1::VerifyResponse,
    allowed: &v1::Allowed,
    clock: &dyn Clock,
) -> Vec<(&'static str, String)> {
    let mut fields = vec![("verdict", "allowed".to_owned())];
    if let Some(who) = &allowed.principal {
        let kind = words::identity_kind(who.identity_kind);
        fields.push(("who", format!("{kind} {} ({}) of tenant {}", who.identity_name, who.identity_id, who.tenant)));
        fields.push(("rests on", rests_on(who)));
        fields.push(("in channels", grant::all_in_words(&who.grants)));
        if !who.scopes.is_empty() {
            fields.push(("at the authority", who.scopes.join(" ")));
        }
    }
    fields.push(("until", until(allowed, clock)));
    if let Some(constraints) = &allowed.constraints {
        fields.extend(named("only from origin", &constraints.origins));
        fields.extend(named("only for audience", &constraints.audiences));
    }
    fields.extend(allowed.signature_keys.iter().map(|key| ("may sign with", signs_with(key))));
    fields.push(("as of revision", words::revision(verdict.revision.as_ref())));
    fields
}

fn signs_with(key: &v1::CarriedSignatureKey) -> String {
    let of = if key.of_session { "its session" } else { "its identity" };
    let more = match key.expires_in_ms {
        0 => String::new(),
        left => format!(", for {} more", span::millis_in_words(left)),
    };
    format!("{} key {} of {of} ({}){more}", key.algorithm, key.thumbprint, key.id)
}

fn rests_on(who: &v1::Principal) -> String {
    let credential = format!("{} {}", words::credential_kind(who.credential_kind), who.credential_id);
    match who.session_id.as_str() {
        "" => format!("{credential}, of no session"),
        session => format!("{credential}, session {session}"),
    }
}

fn until(allowed: &v1::Allowed, clock: &dyn Clock) -> String {
    match allowed.expires_in_ms {
        0 => "it does not expire; until revoked".to_owned(),
        left => format!("{}, unless revoked before", words::until(clock, left)),
    }
}

fn named(name: &'static str, values: &[String]) -> Option<(&'static str, String)> {
    (!values.is_empty()).then(|| (name, values.join(" ")))
}

fn denied_fields(verdict: &v1::VerifyResponse) -> Vec<(&'static str, String)> {
    let reason = words::deny_reason(verdict.deny_reason);
    let sentence = v1::DenyReason::try_from(verdict.deny_reason).map_or("", words::deny_sentence);
    let lasting = match verdict.outcome() {
        v1::Outcome::DeniedPermanent => "for ever",
        v1::Outcome::DeniedTransient => "as far as is known now; it may become good",
        v1::Outcome::Allowed | v1::Outcome::Unspecified => "unknown: the authority sent no verdict that we know",
    };
    vec![
        ("verdict", "denied".to_owned()),
        ("why", format!("{reason}: {sentence}")),
        ("lasting", lasting.to_owned()),
        ("as of revision", words::revision(verdict.revision.as_ref())),
    ]
}

fn as_json(verdict: &v1::VerifyResponse) -> Value {
    let denied = verdict.outcome() != v1::Outcome::Allowed;
    json!({
        "outcome": words::outcome(verdict.outcome),
        "deny_reason": denied.then(|| words::deny_reason(verdict.deny_reason)),
        "allowed": verdict.allowed.as_ref().map(allowed_json),
        "revision": words::revision_json(verdict.revision.as_ref()),
    })
}

fn allowed_json(allowed: &v1::Allowed) -> Value {
    json!({
        "principal": allowed.principal.as_ref().map(|who| json!({
            "tenant": who.tenant,
            "identity_id": who.identity_id,
            "identity_kind": words::identity_kind(who.identity_kind),
            "identity_name": who.identity_name,
            "session_id": who.session_id,
            "credential_id": who.credential_id,
            "credential_kind": words::credential_kind(who.credential_kind),
            "grants": role::grants_json(&who.grants),
            "scopes": who.scopes,
        })),
        "keys": allowed.keys.iter().map(key_json).collect::<Vec<_>>(),
        "expires_in_ms": allowed.expires_in_ms,
        "cache_ttl_ms": allowed.cache_ttl_ms,
        "signature_keys": allowed.signature_keys.iter().map(|key| json!({
            "id": key.id,
            "jwk": key.jwk,
            "algorithm": key.algorithm,
            "thumbprint": key.thumbprint,
            "of_session": key.of_session,
            "expires_in_ms": key.expires_in_ms,
        })).collect::<Vec<_>>(),
        "constraints": allowed.constraints.as_ref().map(|constraints| json!({
            "origins": constraints.origins,
            "audiences": constraints.audiences,
        })),
    })
}

/// A name of the log for programs.
pub(super) fn key_json(key: &v1::Key) -> Value {
    let hex: String = key.id.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "kind": words::key_kind(key.kind), "id": hex })
}

#[cfg(test)]
mod tests {
    use portcullis_types::{CredentialId, ManualClock, OpaqueToken, SeededEntropy, Timestamp};

    use super::*;

    fn form(kind: OpaqueKind) -> Secret {
        OpaqueToken::generate(kind, CredentialId::from_bytes([7; 16]), &SeededEntropy::new(1)).reveal()
    }

    #[test]
    fn a_ticket_is_spent_only_on_request() {
        let entropy = SeededEntropy::new(2);
        let error = presented(&form(OpaqueKind::Ticket), false, &entropy).expect_err("not asked to spend it");
        assert!(error.to_string().contains("--spend-ticket"));
        let spent = presented(&form(OpaqueKind::Ticket), true, &entropy).expect("asked to");
        assert!(matches!(spent, Credential::Ticket(ticket) if ticket.redemption_id.len() == 16));
        let key = presented(&form(OpaqueKind::ApiKey), false, &entropy).expect("no ticket");
        assert!(matches!(key, Credential::Bearer(_)));
    }

    #[test]
    fn an_allowing_verdict_says_who_on_what_and_until_when() {
        let principal = v1::Principal {
            tenant: "demo".to_owned(),
            identity_id: "i1".to_owned(),
            identity_kind: v1::IdentityKind::User.into(),
            identity_name: "alice".to_owned(),
            session_id: "s1".to_owned(),
            credential_id: "c1".to_owned(),
            credential_kind: v1::CredentialKind::AccessToken.into(),
            grants: Vec::new(),
            scopes: Vec::new(),
        };
        let allowed = v1::Allowed { principal: Some(principal), expires_in_ms: 60_000, ..Default::default() };
        let clock = ManualClock::starting_at(Timestamp::from_unix_seconds(0));
        let text = View::Fields(allowed_fields(&v1::VerifyResponse::default(), &allowed, &clock)).render();
        for part in [
            "user alice (i1) of tenant demo",
            "access_token c1, session s1",
            "1970-01-01T00:01:00Z (in 1 min), unless revoked before",
            "nothing",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_refusing_verdict_says_why_and_whether_for_ever() {
        let verdict = v1::VerifyResponse {
            outcome: v1::Outcome::DeniedPermanent.into(),
            deny_reason: v1::DenyReason::SessionRevoked.into(),
            allowed: None,
            revision: Some(v1::Revision { shard: 0, seq: 12, chain: 0xab }),
        };
        let text = View::Fields(denied_fields(&verdict)).render();
        for part in ["session_revoked: its session was revoked", "for ever", "12-00000000000000ab"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(as_json(&verdict)["deny_reason"], "session_revoked");
    }
}
