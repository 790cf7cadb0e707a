//! The commands: each reads its arguments, makes its calls and words the answer.

mod api_key;
mod audit;
mod audit_export;
mod certificate;
mod copies;
mod credential;
mod explain;
mod guarantee;
mod identity;
mod import;
mod issuer;
mod key;
mod log;
mod login;
mod password;
mod receipt;
mod revoke;
mod role;
mod session;
mod signature_key;
mod subject;
mod tenant;
mod ticket;
mod token;
mod totp;
mod verify;

use clap::Subcommand;
use serde_json::json;

use crate::args::Cli;
use crate::authority::Authority;
use crate::failure::Failure;
use crate::print::{Printer, Report};
use crate::table::View;

/// Everything the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Remote(Box<Remote>),
    /// Says what a credential's form tells, without asking anyone; never prints its secret part.
    Explain(explain::ExplainArgs),
    /// Says how the store is copied: by `auth-service backup`, or the tools of PostgreSQL; not over the network.
    #[command(after_help = copies::BACKUP_HELP)]
    Backup(copies::CopyArgs),
    /// Says how a copy is put back: by `auth-service restore`, or the tools of PostgreSQL; not while it is served.
    #[command(after_help = copies::RESTORE_HELP)]
    Restore(copies::CopyArgs),
}

/// What needs the authority.
#[derive(Debug, Subcommand)]
pub(crate) enum Remote {
    /// The customers whose worlds are apart.
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// Who exists: people and programs.
    #[command(subcommand)]
    Identity(identity::IdentityCommand),
    /// Named sets of grants.
    #[command(subcommand)]
    Role(role::RoleCommand),
    /// Logs an identity in by its password and what else it asks for, and prints its tokens.
    Login(login::LoginArgs),
    /// Passwords that change: by their owner, by an administrator, by import.
    #[command(subcommand)]
    Password(password::PasswordCommand),
    /// Authenticator apps, and recovery codes for when they are lost.
    #[command(subcommand)]
    Totp(totp::TotpCommand),
    /// Access tokens, and what renews them.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// One-time connection tickets.
    #[command(subcommand)]
    Ticket(ticket::TicketCommand),
    /// Keys for programs.
    #[command(subcommand)]
    ApiKey(api_key::ApiKeyCommand),
    /// Names in client certificates, by which services are known instead of by keys.
    #[command(subcommand)]
    Certificate(certificate::CertificateCommand),
    /// Public keys with which clients sign what they send.
    #[command(subcommand)]
    SignatureKey(signature_key::SignatureKeyCommand),
    /// OpenID Connect providers whose tokens a tenant takes.
    #[command(subcommand)]
    Issuer(issuer::IssuerCommand),
    /// The keys that sign access tokens, and what encrypts them at rest.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Asks the authority for its verdict on a credential, and says it in words.
    Verify(verify::VerifyArgs),
    /// What an identity presents: tokens, cookies, tickets, keys.
    #[command(subcommand)]
    Credential(credential::CredentialCommand),
    /// Logins that are or were.
    #[command(subcommand)]
    Session(session::SessionCommand),
    /// Kills a credential, a session or all sessions of an identity, and what rests on them.
    #[command(subcommand)]
    Revoke(revoke::RevokeCommand),
    /// Says which gateways enforce a revocation, and how that is known.
    Receipt(receipt::ReceiptArgs),
    /// Says what is promised about revocations: the bound, and how long each lease class is.
    Guarantee,
    /// Who did what, and whether the trail of it is whole.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// The revocation log.
    #[command(subcommand)]
    Log(log::LogCommand),
}

/// Does what the command line asks.
pub(crate) async fn run(cli: Cli, printer: &Printer) -> Result<(), Failure> {
    let remote = match cli.command {
        Command::Explain(args) => return explain::run(&args, printer),
        Command::Backup(_) => return Err(copies::backup(printer)),
        Command::Restore(_) => return Err(copies::restore(printer)),
        Command::Remote(remote) => *remote,
    };
    let authority = Authority::connect(&cli.globals).await?;
    match remote {
        Remote::Tenant(command) => tenant::run(command, &authority, printer).await,
        Remote::Identity(command) => identity::run(command, &authority, printer).await,
        Remote::Role(command) => role::run(command, &authority, printer).await,
        Remote::Login(args) => login::run(args, &authority, printer).await,
        Remote::Password(command) => password::run(command, &authority, printer).await,
        Remote::Totp(command) => totp::run(command, &authority, printer).await,
        Remote::Token(command) => token::run(command, &authority, printer).await,
        Remote::Ticket(command) => ticket::run(command, &authority, printer).await,
        Remote::ApiKey(command) => api_key::run(command, &authority, printer).await,
        Remote::Certificate(command) => certificate::run(command, &authority, printer).await,
        Remote::SignatureKey(command) => signature_key::run(command, &authority, printer).await,
        Remote::Issuer(command) => issuer::run(command, &authority, printer).await,
        Remote::Key(command) => key::run(command, &authority, printer).await,
        Remote::Verify(args) => verify::run(args, &authority, printer).await,
        Remote::Credential(command) => credential::run(command, &authority, printer).await,
        Remote::Session(command) => session::run(command, &authority, printer).await,
        Remote::Revoke(command) => revoke::run(command, &authority, printer).await,
        Remote::Receipt(args) => receipt::run(args, &authority, printer).await,
        Remote::Guarantee => guarantee::run(&authority, printer).await,
        Remote::Audit(command) => audit::run(command, &authority, printer).await,
        Remote::Log(command) => log::run(command, &authority, printer).await,
    }
}

/// A part that the contract always sends.
pub(crate) fn present<T>(part: Option<T>, name: &str) -> Result<T, Failure> {
    part.ok_or_else(|| Failure::Log {
        what: format!("the authority's answer has no {name}"),
        next: "compare the versions of the authority and of this program".to_owned(),
    })
}

/// Says that this request was answered before, with what is shown once, and what brings another.
pub(crate) fn shown_before(what: &str, next: &str, printer: &Printer) -> Result<(), Failure> {
    let shown = format!("shown before, once: this request was answered then; for another: {next}");
    let view = View::Fields(vec![("nothing more", shown)]);
    printer.report(&Report { json: json!({ what: null, "shown_before": true }), view })
}
