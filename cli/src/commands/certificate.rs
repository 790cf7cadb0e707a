//! `portcullis certificate`.

use std::time::Duration;

use clap::{Args, Subcommand};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::certificates_service_client::CertificatesServiceClient;
use portcullis_types::SystemClock;
use serde_json::{Value, json};

use super::present;
use crate::authority::Authority;
use crate::failure::Failure;
use crate::paging::{self, KeyListArgs, Shown};
use crate::print::{Printer, Report};
use crate::reference::{IdentityArgs, RequestArgs, credential_id};
use crate::table::View;
use crate::{span, words};

#[derive(Debug, Subcommand)]
pub(crate) enum CertificateCommand {
    /// Registers the name in a certificate for a service. Only callers of the tenant `system` may.
    #[command(after_help = REGISTER_HELP)]
    Register(Box<RegisterArgs>),
    /// Reads the registrations of an identity, newest first.
    #[command(after_help = "Example:\n  portcullis certificate list --tenant demo --name mailer --active")]
    List(KeyListArgs),
    /// Reads one registration: what it may do, when it was used.
    #[command(after_help = "Example:\n  portcullis certificate get --tenant demo 0192f0c1-2345-7abc-8def-0123456789ab")]
    Get(GetArgs),
}

const REGISTER_HELP: &str = "\
The authority must be told who vouches for such certificates: [grpc.tls] client_ca_file. A certificate is known by its
one SPIFFE ID; one without any URI by its one DNS name. It is exchanged without a word to the authority: what counts is
the name. A name is registered once over all tenants.

Examples:
  portcullis certificate register --tenant system --name gateway --scope verify,watch spiffe://corp.example/edge/gateway
  portcullis certificate register --tenant demo --name mailer --scope verify --expires-in 90d mailer.internal

Calling with one:
  portcullis --client-cert cert.pem --client-key key.pem --endpoint https://auth.internal:7700 --ca-file ca.pem guarantee

To end a registration: portcullis revoke credential --tenant demo ID.";

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// The registration's id.
    id: String,
}

#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    #[command(flatten)]
    identity: IdentityArgs,
    /// The name in the certificate: spiffe://trust-domain/path, or a DNS name.
    certificate_name: String,
    /// What it is for.
    #[arg(long, default_value = "")]
    label: String,
    /// What it may do at the authority's API; may be repeated or separated by commas.
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',')]
    scopes: Vec<String>,
    /// Until it ends, however long certificates last: 12h, 90d; otherwise it does not.
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    expires_in: Option<Duration>,
    /// From where it may be shown: an address or a range such as 10.0.0.0/8; may be repeated. Otherwise from where the
    /// caller may call itself.
    #[arg(long = "address", value_name = "RANGE", value_delimiter = ',')]
    addresses: Vec<String>,
    #[command(flatten)]
    request: RequestArgs,
}

pub(crate) async fn run(command: CertificateCommand, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    match command {
        CertificateCommand::Register(args) => register(*args, authority, printer).await,
        CertificateCommand::List(args) => list(&args, authority, printer).await,
        CertificateCommand::Get(args) => get(args, authority, printer).await,
    }
}

async fn register(args: RegisterArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let request = v1::RegisterCertificateRequest {
        identity: Some(args.identity.reference()?),
        certificate_name: args.certificate_name,
        label: args.label,
        scopes: args.scopes,
        expires_in_ms: args.expires_in.map_or(0, span::millis),
        addresses: args.addresses,
        request_id: args.request.request_id,
    };
    let answer = authority
        .call(request, async |channel, request| {
            CertificatesServiceClient::new(channel).register_certificate(request).await
        })
        .await?;
    report(&present(answer.certificate, "certificate")?, printer)
}

async fn get(args: GetArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let request = v1::GetCertificateRequest { tenant: args.tenant, id: credential_id(&args.id)? };
    let answer = authority
        .call(request, async |channel, request| CertificatesServiceClient::new(channel).get_certificate(request).await)
        .await?;
    report(&present(answer.certificate, "certificate")?, printer)
}

async fn list(args: &KeyListArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let identity = args.identity.reference()?;
    let listing = paging::read(args.limit.limit, async |page_size, page_token| {
        let identity = Some(identity.clone());
        let request = v1::ListCertificatesRequest { identity, page_size, page_token, only_active: args.active };
        let page = authority
            .call(request, async |channel, request| {
                CertificatesServiceClient::new(channel).list_certificates(request).await
            })
            .await?;
        Ok((page.certificates, page.next_page_token))
    })
    .await?;
    let shown = Shown {
        name: "certificates",
        columns: &["id", "state", "name", "label", "scopes", "last used", "expires"],
        empty: "No such certificate is registered for the identity.",
        row,
        json: as_json,
    };
    listing.report(&shown, printer)
}

fn row(one: &v1::ClientCertificate) -> Vec<String> {
    let (used, expires) = (words::time(one.last_used_at.as_ref()), words::time(one.expires_at.as_ref()));
    let (name, scopes) = (one.certificate_name.clone(), one.scopes.join(" "));
    vec![one.id.clone(), state(one).to_owned(), name, one.label.clone(), scopes, used, expires]
}

fn report(certificate: &v1::ClientCertificate, printer: &Printer) -> Result<(), Failure> {
    let addresses = match &*certificate.addresses {
        [] => "any".to_owned(),
        some => some.join(" "),
    };
    let fields = vec![
        ("id", certificate.id.clone()),
        ("state", state(certificate).to_owned()),
        ("name", certificate.certificate_name.clone()),
        ("label", certificate.label.clone()),
        ("scopes", certificate.scopes.join(" ")),
        ("addresses", addresses),
        ("created", words::time(certificate.created_at.as_ref())),
        ("last used", words::time(certificate.last_used_at.as_ref())),
        ("expires", words::time(certificate.expires_at.as_ref())),
    ];
    printer.report(&Report { json: json!({ "certificate": as_json(certificate) }), view: View::Fields(fields) })
}

fn state(certificate: &v1::ClientCertificate) -> &'static str {
    words::key_state(certificate.revoked, certificate.expires_at.as_ref(), &SystemClock)
}

fn as_json(certificate: &v1::ClientCertificate) -> Value {
    json!({
        "id": certificate.id,
        "identity_id": certificate.identity_id,
        "certificate_name": certificate.certificate_name,
        "label": certificate.label,
        "scopes": certificate.scopes,
        "created_at": words::time_json(certificate.created_at.as_ref()),
        "expires_at": words::time_json(certificate.expires_at.as_ref()),
        "revoked": certificate.revoked,
        "addresses": certificate.addresses,
        "last_used_at": words::time_json(certificate.last_used_at.as_ref()),
    })
}
