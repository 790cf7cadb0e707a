//! `portcullis issuer subjects` and `portcullis issuer unlink`.

use clap::{ArgGroup, Args};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::issuers_service_client::IssuersServiceClient;
use serde_json::{Value, json};

use super::issuer::WaitArgs;
use super::revoke;
use crate::authority::Authority;
use crate::failure::Failure;
use crate::paging::{self, LimitArgs, Shown};
use crate::print::Printer;
use crate::reference::{IdentityArgs, RequestArgs, maybe_identity};

pub(super) const LIST_HELP: &str = "\
A subject is shown by the SHA-256 of its `sub`, which is all that is kept of it.

Examples:
  portcullis issuer subjects --tenant demo --issuer corp
  portcullis issuer subjects --tenant demo --name alice
  printf %s 24400320 | sha256sum     # whose is this subject?";

pub(super) const UNLINK_HELP: &str = "\
What the subject's tokens opened is closed, and so is what the identity opened by any other way. Tokens that the issuer
stamps more than a minute later are as if the subject came for the first time: where the mapping still makes the same
name of it, it is linked to the same person again. So change the mapping first (issuer put), or the person's name.

Example:
  portcullis issuer unlink --tenant demo --name alice --issuer corp --wait";

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("whose").args(["issuer", "identity", "name"]).required(true).multiple(true))]
pub(crate) struct ListArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// Only of this issuer.
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// Only of the identity with this id.
    #[arg(long, value_name = "ID", conflicts_with = "name")]
    identity: Option<String>,
    /// Only of the identity of this name.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    limit: LimitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UnlinkArgs {
    #[command(flatten)]
    identity: IdentityArgs,
    /// What the tenant calls the issuer.
    #[arg(long, value_name = "NAME")]
    issuer: String,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    request: RequestArgs,
}

pub(super) async fn list(args: &ListArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let identity = maybe_identity(&args.tenant, args.identity.as_deref(), args.name.as_deref())?;
    let listing = paging::read(args.limit.limit, async |page_size, page_token| {
        let request = v1::ListIssuerSubjectsRequest {
            tenant: args.tenant.clone(),
            page_size,
            page_token,
            issuer: args.issuer.clone().unwrap_or_default(),
            identity: identity.clone(),
        };
        let page = authority
            .call(request, async |channel, request| {
                IssuersServiceClient::new(channel).list_issuer_subjects(request).await
            })
            .await?;
        Ok((page.subjects, page.next_page_token))
    })
    .await?;
    let shown = Shown {
        name: "subjects",
        columns: &["issuer", "trusted", "subject's digest", "identity", "identity's id"],
        empty: "No subject is anybody here.",
        row,
        json: as_json,
    };
    listing.report(&shown, printer)
}

pub(super) async fn unlink(args: UnlinkArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let (identity, request_id) = (Some(args.identity.reference()?), args.request.request_id);
    let request = v1::UnlinkSubjectRequest { identity, issuer: args.issuer, request_id };
    let answer = authority
        .call(request, async |channel, request| IssuersServiceClient::new(channel).unlink_subject(request).await)
        .await?;
    let answer = revoke::answered(answer.revision, answer.enforced_within_ms, answer.committed_at);
    revoke::tell(&answer, args.wait.wait, authority, printer).await
}

fn row(subject: &v1::IssuerSubject) -> Vec<String> {
    let trusted = if subject.trusted { "yes" } else { "no longer" }.to_owned();
    let (digest, name) = (digest_of(subject), subject.identity_name.clone());
    vec![subject.issuer.clone(), trusted, digest, name, subject.identity_id.clone()]
}

fn as_json(subject: &v1::IssuerSubject) -> Value {
    json!({
        "issuer": subject.issuer,
        "issuer_id": subject.issuer_id,
        "trusted": subject.trusted,
        "subject_digest": digest_of(subject),
        "identity_id": subject.identity_id,
        "identity_name": subject.identity_name,
    })
}

fn digest_of(subject: &v1::IssuerSubject) -> String {
    subject.subject_digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
