//! `portcullis identity`.

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::identities_service_client::IdentitiesServiceClient;
use serde_json::{Value, json};

use super::{import, present};
use crate::authority::Authority;
use crate::failure::Failure;
use crate::input;
use crate::paging::{self, LimitArgs, Shown};
use crate::print::{Printer, Report};
use crate::reference::{IdentityArgs, RequestArgs};
use crate::table::View;
use crate::words;

#[derive(Debug, Subcommand)]
pub(crate) enum IdentityCommand {
    /// Makes an identity.
    #[command(after_help = CREATE_HELP)]
    Create(CreateArgs),
    /// Shows one: portcullis identity show --tenant demo --name alice
    Show(IdentityArgs),
    /// Reads those of a tenant, by name.
    #[command(after_help = LIST_HELP)]
    List(ListArgs),
    /// Changes what is said of one, its name, or its roles.
    #[command(after_help = UPDATE_HELP)]
    Update(UpdateArgs),
    /// Refuses everything of an identity from now on, and ends its sessions for ever.
    Disable(ChangeArgs),
    /// Allows new sessions again; what was revoked stays dead.
    Enable(ChangeArgs),
    /// Deletes one for ever: ends its sessions and erases what is said of a person. Its name is free again.
    #[command(after_help = "Nothing brings it back; to refuse it for a while: identity disable.")]
    Delete(ChangeArgs),
    /// Sets the password, and ends every session that was made with the old one.
    SetPassword(SetPasswordArgs),
    /// Sets the roles; live sockets are judged again.
    SetRoles(SetRolesArgs),
    /// Makes those of a file, with the hashes that another program made of their passwords.
    #[command(after_help = import::HELP)]
    Import(import::ImportArgs),
}

const CREATE_HELP: &str = "\
Examples:
  portcullis identity create --tenant demo --name carol --role member
  pass carol | portcullis identity create --tenant demo --name carol --password-stdin
  portcullis identity create --tenant demo --name mailer --kind service";

const LIST_HELP: &str = "\
Examples:
  portcullis identity list --tenant demo --state disabled
  portcullis identity list --tenant demo --kind service --prefix bot-
  portcullis identity list --tenant demo --role member --limit 20";

const UPDATE_HELP: &str = "\
Only what is named changes; attributes and roles change as a whole. An etag (identity show) refuses the update when
somebody else changed the identity since.

Examples:
  portcullis identity update --tenant demo --name carol --display-name 'Carol C.'
  portcullis identity update --tenant demo --name carol --rename carol.c
  portcullis identity update --tenant demo --name carol --attribute team=red --attribute cost-centre=7
  portcullis identity update --tenant demo --name carol --role member --etag 3";

/// Where an identity stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum State {
    /// It may log in.
    Active,
    /// It is refused.
    Disabled,
    /// It is refused for ever.
    Deleted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A person.
    User,
    /// A program.
    Service,
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// The name it logs in with, unique in its tenant.
    #[arg(long)]
    name: String,
    /// What it is. A user has a password unless --no-password; a service has none unless --password-stdin.
    #[arg(long, value_enum, default_value_t = Kind::User)]
    kind: Kind,
    /// A role it has; may be repeated.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Reads the password from standard input; otherwise PORTCULLIS_PASSWORD or a prompt.
    #[arg(long, conflicts_with = "no_password")]
    password_stdin: bool,
    /// Makes a user without a password.
    #[arg(long)]
    no_password: bool,
    /// What people call it.
    #[arg(long, default_value = "", hide_default_value = true)]
    display_name: String,
    /// What its tenant notes about it; may be repeated.
    #[arg(long = "attribute", value_name = "NAME=TEXT", value_parser = attribute)]
    attributes: Vec<(String, String)>,
    #[command(flatten)]
    request: RequestArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    request: RequestArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    identity: IdentityArgs,
    /// Another name to log in with. Sessions, keys and the password stay; the name of before is free.
    #[arg(long)]
    rename: Option<String>,
    /// What people call it; an empty text takes it away.
    #[arg(long)]
    display_name: Option<String>,
    /// One of all its attributes; may be repeated. Those that are not named are taken away.
    #[arg(long = "attribute", value_name = "NAME=TEXT", value_parser = attribute)]
    attributes: Vec<(String, String)>,
    /// Takes all attributes away.
    #[arg(long, conflicts_with = "attributes")]
    no_attributes: bool,
    /// A role it shall have; may be repeated. Roles that are not named are taken away.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Takes all roles away.
    #[arg(long, conflicts_with = "roles")]
    no_roles: bool,
    /// Only if it still has this etag.
    #[arg(long, default_value = "", hide_default_value = true)]
    etag: String,
    #[command(flatten)]
    request: RequestArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// Only in this state.
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Only of this kind.
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Only whose names begin so.
    #[arg(long, default_value = "", hide_default_value = true)]
    prefix: String,
    /// Only who have this role.
    #[arg(long, default_value = "", hide_default_value = true)]
    role: String,
    #[command(flatten)]
    limit: LimitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SetPasswordArgs {
    #[command(flatten)]
    identity: IdentityArgs,
    /// Reads the password from standard input; otherwise PORTCULLIS_PASSWORD or a prompt.
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    request: RequestArgs,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").args(["roles", "no_roles"]).required(true))]
pub(crate) struct SetRolesArgs {
    #[command(flatten)]
    identity: IdentityArgs,
    /// A role it shall have; may be repeated. Roles that are not named are taken away.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Takes all roles away.
    #[arg(long)]
    no_roles: bool,
    #[command(flatten)]
    request: RequestArgs,
}

pub(crate) async fn run(command: IdentityCommand, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    match command {
        IdentityCommand::Create(args) => create(args, authority, printer).await,
        IdentityCommand::Show(args) => show(&args, authority, printer).await,
        IdentityCommand::List(args) => list(&args, authority, printer).await,
        IdentityCommand::Update(args) => update(args, authority, printer).await,
        IdentityCommand::Disable(args) => disable(args, authority, printer).await,
        IdentityCommand::Enable(args) => enable(args, authority, printer).await,
        IdentityCommand::Delete(args) => delete(args, authority, printer).await,
        IdentityCommand::SetPassword(args) => set_password(&args, authority, printer).await,
        IdentityCommand::SetRoles(args) => set_roles(args, authority, printer).await,
        IdentityCommand::Import(args) => import::run(args, authority, printer).await,
    }
}

async fn create(args: CreateArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let wanted = args.password_stdin || (args.kind == Kind::User && !args.no_password);
    let password = if wanted { text(&input::new_password(args.password_stdin)?)? } else { String::new() };
    let kind: v1::IdentityKind = args.kind.into();
    let request = v1::CreateIdentityRequest {
        tenant: args.tenant,
        kind: kind.into(),
        name: args.name,
        password,
        password_hash: String::new(),
        roles: args.roles,
        display_name: args.display_name,
        attributes: args.attributes.into_iter().collect(),
        request_id: args.request.request_id,
    };
    let answer = authority
        .call(request, async |channel, request| IdentitiesServiceClient::new(channel).create_identity(request).await)
        .await?;
    print(&present(answer.identity, "identity")?, Vec::new(), json!({}), printer)
}

async fn show(args: &IdentityArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let answer = authority
        .call(v1::GetIdentityRequest { identity: Some(args.reference()?) }, async |channel, request| {
            IdentitiesServiceClient::new(channel).get_identity(request).await
        })
        .await?;
    print(&present(answer.identity, "identity")?, Vec::new(), json!({}), printer)
}

async fn list(args: &ListArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let listing = paging::read(args.limit.limit, async |page_size, page_token| {
        let request = v1::ListIdentitiesRequest {
            tenant: args.tenant.clone(),
            page_size,
            page_token,
            state: args.state.map_or(v1::IdentityState::Unspecified, v1::IdentityState::from).into(),
            kind: args.kind.map_or(v1::IdentityKind::Unspecified, v1::IdentityKind::from).into(),
            name_prefix: args.prefix.clone(),
            role: args.role.clone(),
        };
        let page = authority
            .call(request, async |channel, request| {
                IdentitiesServiceClient::new(channel).list_identities(request).await
            })
            .await?;
        Ok((page.identities, page.next_page_token))
    })
    .await?;
    let shown = Shown {
        name: "identities",
        columns: &["name", "kind", "state", "roles", "id"],
        empty: "The tenant has no identities.",
        row,
        json: as_json,
    };
    listing.report(&shown, printer)
}

fn row(identity: &v1::Identity) -> Vec<String> {
    let kind = words::identity_kind(identity.kind);
    let state = words::identity_state(identity.state);
    vec![identity.name.clone(), kind, state, identity.roles.join(" "), identity.id.clone()]
}

async fn update(args: UpdateArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let named = [
        ("name", args.rename.is_some()),
        ("display_name", args.display_name.is_some()),
        ("attributes", args.no_attributes || !args.attributes.is_empty()),
        ("roles", args.no_roles || !args.roles.is_empty()),
    ];
    let paths: Vec<_> = named.iter().filter(|(_, named)| *named).map(|(path, _)| (*path).to_owned()).collect();
    if paths.is_empty() {
        return Err(Failure::usage("say what shall change: --rename, --display-name, --attribute or --role"));
    }
    let request = v1::UpdateIdentityRequest {
        identity: Some(args.identity.reference()?),
        update_mask: Some(prost_types::FieldMask { paths }),
        name: args.rename.unwrap_or_default(),
        display_name: args.display_name.unwrap_or_default(),
        attributes: args.attributes.into_iter().collect(),
        roles: args.roles,
        etag: args.etag,
        request_id: args.request.request_id,
    };
    let answer = authority
        .call(request, async |channel, request| IdentitiesServiceClient::new(channel).update_identity(request).await)
        .await?;
    let event = answer.revision.map(|revision| ("revision", words::revision(Some(&revision))));
    let json = json!({ "revision": words::revision_json(answer.revision.as_ref()) });
    print(&present(answer.identity, "identity")?, event.into_iter().collect(), json, printer)
}

async fn disable(args: ChangeArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let (identity, request_id) = (Some(args.identity.reference()?), args.request.request_id);
    let answer = authority
        .call(v1::DisableIdentityRequest { identity, request_id }, async |channel, request| {
            IdentitiesServiceClient::new(channel).disable_identity(request).await
        })
        .await?;
    print_ended(answer.identity, answer.revision.as_ref(), answer.committed_at.as_ref(), printer)
}

async fn delete(args: ChangeArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let (identity, request_id) = (Some(args.identity.reference()?), args.request.request_id);
    let answer = authority
        .call(v1::DeleteIdentityRequest { identity, request_id }, async |channel, request| {
            IdentitiesServiceClient::new(channel).delete_identity(request).await
        })
        .await?;
    print_ended(answer.identity, answer.revision.as_ref(), answer.committed_at.as_ref(), printer)
}

/// An identity whose sessions an event has ended.
fn print_ended(
    identity: Option<v1::Identity>,
    revision: Option<&v1::Revision>,
    committed_at: Option<&prost_types::Timestamp>,
    printer: &Printer,
) -> Result<(), Failure> {
    let event = vec![("revision", words::revision(revision)), ("committed", words::time(committed_at))];
    let json = json!({ "revision": words::revision_json(revision), "committed_at": words::time_json(committed_at) });
    print(&present(identity, "identity")?, event, json, printer)
}

async fn enable(args: ChangeArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let (identity, request_id) = (Some(args.identity.reference()?), args.request.request_id);
    let answer = authority
        .call(v1::EnableIdentityRequest { identity, request_id }, async |channel, request| {
            IdentitiesServiceClient::new(channel).enable_identity(request).await
        })
        .await?;
    print(&present(answer.identity, "identity")?, Vec::new(), json!({}), printer)
}

async fn set_password(args: &SetPasswordArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let identity = args.identity.reference()?;
    let password = text(&input::new_password(args.password_stdin)?)?;
    let request =
        v1::SetPasswordRequest { identity: Some(identity), password, request_id: args.request.request_id.clone() };
    let answer = authority
        .call(request, async |channel, request| IdentitiesServiceClient::new(channel).set_password(request).await)
        .await?;
    let view = View::Fields(vec![
        ("password", "set; sessions made with the old one are ended".to_owned()),
        ("revision", words::revision(answer.revision.as_ref())),
    ]);
    printer.report(&Report { json: json!({ "revision": words::revision_json(answer.revision.as_ref()) }), view })
}

async fn set_roles(args: SetRolesArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let request = v1::SetIdentityRolesRequest {
        identity: Some(args.identity.reference()?),
        roles: args.roles,
        request_id: args.request.request_id,
    };
    let answer = authority
        .call(request, async |channel, request| IdentitiesServiceClient::new(channel).set_identity_roles(request).await)
        .await?;
    let event = vec![("revision", words::revision(answer.revision.as_ref()))];
    let json = json!({ "revision": words::revision_json(answer.revision.as_ref()) });
    print(&present(answer.identity, "identity")?, event, json, printer)
}

fn print(
    identity: &v1::Identity,
    event: Vec<(&'static str, String)>,
    mut json: Value,
    printer: &Printer,
) -> Result<(), Failure> {
    let mut fields = vec![
        ("tenant", identity.tenant.clone()),
        ("name", identity.name.clone()),
        ("id", identity.id.clone()),
        ("kind", words::identity_kind(identity.kind)),
        ("state", words::identity_state(identity.state)),
        ("roles", identity.roles.join(" ")),
        ("display name", identity.display_name.clone()),
        ("created", words::time(identity.created_at.as_ref())),
        ("etag", identity.etag.clone()),
    ];
    fields.extend(identity.attributes.iter().map(|(name, text)| ("attribute", format!("{name}={text}"))));
    fields.extend(event);
    json["identity"] = as_json(identity);
    printer.report(&Report { json, view: View::Fields(fields) })
}

/// An identity for programs.
pub(super) fn as_json(identity: &v1::Identity) -> Value {
    json!({
        "tenant": identity.tenant,
        "id": identity.id,
        "kind": words::identity_kind(identity.kind),
        "name": identity.name,
        "state": words::identity_state(identity.state),
        "roles": identity.roles,
        "display_name": identity.display_name,
        "attributes": identity.attributes,
        "etag": identity.etag,
        "created_at": words::time_json(identity.created_at.as_ref()),
    })
}

fn attribute(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected a name and a text, such as team=red")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl From<Kind> for v1::IdentityKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::User => Self::User,
            Kind::Service => Self::Service,
        }
    }
}

impl From<State> for v1::IdentityState {
    fn from(state: State) -> Self {
        match state {
            State::Active => Self::Active,
            State::Disabled => Self::Disabled,
            State::Deleted => Self::Deleted,
        }
    }
}

/// A secret for a message of the contract, which holds texts.
pub(super) fn text(secret: &portcullis_types::Secret) -> Result<String, Failure> {
    secret.expose_str().map(str::to_owned).ok_or_else(|| Failure::usage("the secret is not text"))
}
