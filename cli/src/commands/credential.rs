//! `portcullis credential`.

use clap::{Args, Subcommand, ValueEnum};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::credentials_service_client::CredentialsServiceClient;
use serde_json::{Value, json};

use super::present;
use crate::authority::Authority;
use crate::failure::Failure;
use crate::paging::{self, LimitArgs, Shown};
use crate::print::{Printer, Report};
use crate::reference::{IdentityArgs, credential_id, session_id};
use crate::table::View;
use crate::words;

#[derive(Debug, Subcommand)]
pub(crate) enum CredentialCommand {
    /// Shows one, without its secret: portcullis credential show --tenant demo 0192f0c1-2345-7abc-8def-0123456789ab
    Show(ShowArgs),
    /// Reads those of an identity, newest first, without their secrets.
    #[command(after_help = LIST_HELP)]
    List(ListArgs),
}

const LIST_HELP: &str = "\
Examples:
  portcullis credential list --tenant demo --name alice
  portcullis credential list --tenant demo --name alice --kind api-key
  portcullis credential list --tenant demo --name alice --session 0192f0c1-2345-7abc-8def-0123456789ab

Each can be revoked alone: portcullis revoke credential --tenant demo ID. Refused means: by its identity, which is
disabled, or its tenant, which is suspended; it is accepted again when that ends.";

/// What kind of credential it is.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// The value of a session cookie.
    SessionCookie,
    /// A signed access token.
    AccessToken,
    /// A rotating refresh token.
    RefreshToken,
    /// A one-time connection ticket.
    Ticket,
    /// An API key.
    ApiKey,
    /// The registered name in a client certificate.
    ClientCertificate,
    /// A public key for signatures.
    SignatureKey,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// Its id.
    id: String,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    identity: IdentityArgs,
    /// Only of this kind.
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Only of this session.
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    #[command(flatten)]
    limit: LimitArgs,
}

pub(crate) async fn run(command: CredentialCommand, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    match command {
        CredentialCommand::Show(args) => show(args, authority, printer).await,
        CredentialCommand::List(args) => list(&args, authority, printer).await,
    }
}

async fn show(args: ShowArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let request = v1::GetCredentialRequest { tenant: args.tenant, credential_id: credential_id(&args.id)? };
    let answer = authority
        .call(request, async |channel, request| CredentialsServiceClient::new(channel).get_credential(request).await)
        .await?;
    let credential = present(answer.credential, "credential")?;
    let view = View::Fields(vec![
        ("id", credential.id.clone()),
        ("kind", words::credential_kind(credential.kind)),
        ("state", words::credential_state(credential.state)),
        ("identity", credential.identity_id.clone()),
        ("session", credential.session_id.clone()),
        ("issued from", credential.parent_id.clone()),
        ("label", credential.label.clone()),
        ("scopes", credential.scopes.join(" ")),
        ("audiences", credential.audiences.join(" ")),
        ("origins", credential.origins.join(" ")),
        ("created", words::time(credential.created_at.as_ref())),
        ("expires", words::time(credential.expires_at.as_ref())),
    ]);
    printer.report(&Report { json: json!({ "credential": as_json(&credential) }), view })
}

async fn list(args: &ListArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let identity = args.identity.reference()?;
    let session = args.session.as_deref().map(session_id).transpose()?.unwrap_or_default();
    let kind = args.kind.map_or(v1::CredentialKind::Unspecified, v1::CredentialKind::from);
    let listing = paging::read(args.limit.limit, async |page_size, page_token| {
        let request = v1::ListCredentialsRequest {
            identity: Some(identity.clone()),
            page_size,
            page_token,
            kind: kind.into(),
            session_id: session.clone(),
        };
        let page = authority
            .call(request, async |channel, request| {
                CredentialsServiceClient::new(channel).list_credentials(request).await
            })
            .await?;
        Ok((page.credentials, page.next_page_token))
    })
    .await?;
    let shown = Shown {
        name: "credentials",
        columns: &["id", "kind", "state", "session", "created", "expires", "label"],
        empty: "The identity has no such credentials.",
        row,
        json: as_json,
    };
    listing.report(&shown, printer)
}

fn row(row: &v1::Credential) -> Vec<String> {
    let (kind, state) = (words::credential_kind(row.kind), words::credential_state(row.state));
    let (created, expires) = (words::time(row.created_at.as_ref()), words::time(row.expires_at.as_ref()));
    vec![row.id.clone(), kind, state, row.session_id.clone(), created, expires, row.label.clone()]
}

impl From<Kind> for v1::CredentialKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::SessionCookie => Self::SessionCookie,
            Kind::AccessToken => Self::AccessToken,
            Kind::RefreshToken => Self::RefreshToken,
            Kind::Ticket => Self::Ticket,
            Kind::ApiKey => Self::ApiKey,
            Kind::ClientCertificate => Self::ClientCertificate,
            Kind::SignatureKey => Self::SignatureKey,
        }
    }
}

fn as_json(credential: &v1::Credential) -> Value {
    json!({
        "id": credential.id,
        "kind": words::credential_kind(credential.kind),
        "state": words::credential_state(credential.state),
        "identity_id": credential.identity_id,
        "session_id": credential.session_id,
        "parent_id": credential.parent_id,
        "label": credential.label,
        "scopes": credential.scopes,
        "audiences": credential.audiences,
        "origins": credential.origins,
        "created_at": words::time_json(credential.created_at.as_ref()),
        "expires_at": words::time_json(credential.expires_at.as_ref()),
    })
}
