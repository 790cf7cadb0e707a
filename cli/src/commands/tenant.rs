//! `portcullis tenant`.

use clap::{Args, Subcommand, ValueEnum};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::tenants_service_client::TenantsServiceClient;
use serde_json::{Value, json};

use super::present;
use crate::authority::Authority;
use crate::failure::Failure;
use crate::paging::{self, LimitArgs, Shown};
use crate::print::{Printer, Report};
use crate::reference::RequestArgs;
use crate::table::View;
use crate::{span, words};

#[derive(Debug, Subcommand)]
pub(crate) enum TenantCommand {
    /// Makes a tenant: portcullis tenant create demo
    Create(CreateArgs),
    /// Shows one: portcullis tenant show demo
    Show(ShowArgs),
    /// Reads all tenants that the caller may see: portcullis tenant list --state suspended
    List(ListArgs),
    /// Changes what people call it: portcullis tenant update demo --display-name 'The demonstration'
    Update(UpdateArgs),
    /// Refuses everything in a tenant from now on, and ends every session in it for ever.
    #[command(after_help = SUSPEND_HELP)]
    Suspend(ChangeArgs),
    /// Allows a tenant's people and programs to act again; what was revoked stays dead.
    Reinstate(ChangeArgs),
    /// Deletes a suspended tenant and everything in it, for ever.
    #[command(after_help = DELETE_HELP)]
    Delete(DeleteArgs),
    /// Gives a tenant another lease class: for how long its sockets are served while a gateway cannot hear the authority.
    #[command(after_help = LEASE_CLASS_HELP)]
    LeaseClass(LeaseClassArgs),
}

const LEASE_CLASS_HELP: &str = "\
How long each class is, and the bound that all must fit into: portcullis guarantee

Examples:
  portcullis tenant lease-class demo strict
  portcullis tenant lease-class demo none";

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Its name, for ever: 1 to 63 of a-z, 0-9 and '-', beginning with a letter.
    name: String,
    /// For how long its sockets are served while a gateway cannot hear the authority; unsaid: as the route says.
    #[arg(long, value_enum, default_value_t = Class::None, hide_default_value = true)]
    lease_class: Class,
    /// What people call it.
    #[arg(long, default_value = "", hide_default_value = true)]
    display_name: String,
    #[command(flatten)]
    request: RequestArgs,
}

const SUSPEND_HELP: &str = "\
API keys, passwords and certificates are refused meanwhile, and work again when it is reinstated; sessions stay dead.

Example:
  portcullis tenant suspend demo --only revision";

const DELETE_HELP: &str = "\
Nothing brings it back, and its name is not given again. It must be suspended before; when nobody missed it for long enough,
delete it. From then on whoever names it is told that there is no such tenant, but for `tenant show`, `tenant list` and the
audit trail; what is beneath it is removed a little at a time.

Example:
  portcullis tenant suspend demo
  portcullis tenant delete demo";

/// Where a tenant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum State {
    /// Its people and programs may act.
    Active,
    /// Everything in it is refused.
    Suspended,
    /// It is gone for ever.
    Deleted,
}

impl From<State> for v1::TenantState {
    fn from(state: State) -> Self {
        match state {
            State::Active => Self::Active,
            State::Suspended => Self::Suspended,
            State::Deleted => Self::Deleted,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only in this state.
    #[arg(long, value_enum)]
    state: Option<State>,
    #[command(flatten)]
    limit: LimitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Its name.
    name: String,
    /// Only if it still has this etag.
    #[arg(long, default_value = "", hide_default_value = true)]
    etag: String,
    #[command(flatten)]
    request: RequestArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Its name.
    name: String,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// Its name.
    name: String,
    /// What people call it; an empty text takes it away.
    #[arg(long)]
    display_name: String,
    /// Only if it still has this etag.
    #[arg(long, default_value = "", hide_default_value = true)]
    etag: String,
    #[command(flatten)]
    request: RequestArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    /// Its name.
    name: String,
    #[command(flatten)]
    request: RequestArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LeaseClassArgs {
    /// The tenant.
    name: String,
    /// The class. Live sockets are judged again and have it from then on.
    #[arg(value_enum)]
    class: Class,
    #[command(flatten)]
    request: RequestArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Class {
    /// None of its own: that of the route, or standard.
    None,
    /// The shortest: a revocation is certain soonest, and an outage is noticed soonest.
    Strict,
    /// What counts where nobody says otherwise.
    Standard,
    /// Long enough for the failover of a database.
    Tolerant,
    /// As standard for whoever comes; open sockets are served for a stated time more.
    Hold,
}

impl From<Class> for v1::LeaseClass {
    fn from(class: Class) -> Self {
        match class {
            Class::None => Self::Unspecified,
            Class::Strict => Self::Strict,
            Class::Standard => Self::Standard,
            Class::Tolerant => Self::Tolerant,
            Class::Hold => Self::Hold,
        }
    }
}

pub(crate) async fn run(command: TenantCommand, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    match command {
        TenantCommand::Create(args) => create(args, authority, printer).await,
        TenantCommand::Show(args) => show(args, authority, printer).await,
        TenantCommand::Update(args) => update(args, authority, printer).await,
        TenantCommand::Suspend(args) => suspend(args, authority, printer).await,
        TenantCommand::Reinstate(args) => reinstate(args, authority, printer).await,
        TenantCommand::Delete(args) => delete(args, authority, printer).await,
        TenantCommand::List(args) => list(args, authority, printer).await,
        TenantCommand::LeaseClass(args) => lease_class(args, authority, printer).await,
    }
}

async fn create(args: CreateArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let lease_class: v1::LeaseClass = args.lease_class.into();
    let request = v1::CreateTenantRequest {
        name: args.name,
        lease_class: lease_class.into(),
        display_name: args.display_name,
        request_id: args.request.request_id,
    };
    let answer = authority
        .call(request, async |channel, request| TenantsServiceClient::new(channel).create_tenant(request).await)
        .await?;
    print(answer.tenant, printer)
}

async fn show(args: ShowArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let answer = authority
        .call(v1::GetTenantRequest { name: args.name }, async |channel, request| {
            TenantsServiceClient::new(channel).get_tenant(request).await
        })
        .await?;
    print(answer.tenant, printer)
}

async fn update(args: UpdateArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let request = v1::UpdateTenantRequest {
        name: args.name,
        display_name: args.display_name,
        etag: args.etag,
        request_id: args.request.request_id,
        update_mask: Some(prost_types::FieldMask { paths: vec!["display_name".to_owned()] }),
    };
    let answer = authority
        .call(request, async |channel, request| TenantsServiceClient::new(channel).update_tenant(request).await)
        .await?;
    print(answer.tenant, printer)
}

async fn suspend(args: ChangeArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let request = v1::SuspendTenantRequest { name: args.name, request_id: args.request.request_id };
    let answer = authority
        .call(request, async |channel, request| TenantsServiceClient::new(channel).suspend_tenant(request).await)
        .await?;
    let tenant = present(answer.tenant, "tenant")?;
    let (revision, at) = (answer.revision, answer.committed_at);
    print_ended(&tenant, revision.as_ref(), at.as_ref(), answer.enforced_within_ms, printer)
}

async fn delete(args: DeleteArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let request = v1::DeleteTenantRequest { name: args.name, etag: args.etag, request_id: args.request.request_id };
    let answer = authority
        .call(request, async |channel, request| TenantsServiceClient::new(channel).delete_tenant(request).await)
        .await?;
    let tenant = present(answer.tenant, "tenant")?;
    let (revision, at) = (answer.revision, answer.committed_at);
    print_ended(&tenant, revision.as_ref(), at.as_ref(), answer.enforced_within_ms, printer)
}

fn print_ended(
    tenant: &v1::Tenant,
    revision: Option<&v1::Revision>,
    at: Option<&prost_types::Timestamp>,
    enforced_within_ms: i64,
    printer: &Printer,
) -> Result<(), Failure> {
    let mut view = fields(tenant);
    view.push(("revision", words::revision(revision)));
    view.push(("committed", words::time(at)));
    let bound = span::millis_in_words(enforced_within_ms);
    view.push(("bound", format!("{bound} from now at the latest, no frame passes on a socket it covers")));
    let json = json!({
        "tenant": as_json(tenant),
        "revision": words::revision_json(revision),
        "committed_at": words::time_json(at),
        "enforced_within_ms": enforced_within_ms,
    });
    printer.report(&Report { json, view: View::Fields(view) })
}

async fn reinstate(args: ChangeArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let request = v1::ReinstateTenantRequest { name: args.name, request_id: args.request.request_id };
    let answer = authority
        .call(request, async |channel, request| TenantsServiceClient::new(channel).reinstate_tenant(request).await)
        .await?;
    print(answer.tenant, printer)
}

fn print(tenant: Option<v1::Tenant>, printer: &Printer) -> Result<(), Failure> {
    let tenant = present(tenant, "tenant")?;
    printer.report(&Report { json: json!({ "tenant": as_json(&tenant) }), view: View::Fields(fields(&tenant)) })
}

async fn lease_class(args: LeaseClassArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let class: v1::LeaseClass = args.class.into();
    let request =
        v1::SetLeaseClassRequest { tenant: args.name, lease_class: class.into(), request_id: args.request.request_id };
    let answer = authority
        .call(request, async |channel, request| TenantsServiceClient::new(channel).set_lease_class(request).await)
        .await?;
    let tenant = present(answer.tenant, "tenant")?;
    let mut view = fields(&tenant);
    view.push(match &answer.revision {
        None => ("changed", "nothing: it had this class before".to_owned()),
        Some(revision) => ("revision", words::revision(Some(revision))),
    });
    if answer.revision.is_some() {
        let bound = span::millis_in_words(answer.enforced_within_ms);
        view.push(("bound", format!("{bound} from now at the latest, no socket is served by the old class")));
    }
    let json = json!({
        "tenant": as_json(&tenant),
        "revision": words::revision_json(answer.revision.as_ref()),
        "enforced_within_ms": answer.enforced_within_ms,
    });
    printer.report(&Report { json, view: View::Fields(view) })
}

async fn list(args: ListArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let state = args.state.map_or(v1::TenantState::Unspecified, Into::into).into();
    let listing = paging::read(args.limit.limit, async |page_size, page_token| {
        let page = authority
            .call(v1::ListTenantsRequest { page_size, page_token, state }, async |channel, request| {
                TenantsServiceClient::new(channel).list_tenants(request).await
            })
            .await?;
        Ok((page.tenants, page.next_page_token))
    })
    .await?;
    let shown = Shown {
        name: "tenants",
        columns: &["tenant", "state", "display name", "lease class", "created", "etag"],
        empty: "There are no tenants.",
        row,
        json: as_json,
    };
    listing.report(&shown, printer)
}

fn row(tenant: &v1::Tenant) -> Vec<String> {
    fields(tenant).into_iter().map(|(_, value)| value).collect()
}

fn fields(tenant: &v1::Tenant) -> Vec<(&'static str, String)> {
    vec![
        ("tenant", tenant.name.clone()),
        ("state", words::tenant_state(tenant.state)),
        ("display name", tenant.display_name.clone()),
        ("lease class", class_of(tenant).unwrap_or_else(|| "none".to_owned())),
        ("created", words::time(tenant.created_at.as_ref())),
        ("etag", tenant.etag.clone()),
    ]
}

fn class_of(tenant: &v1::Tenant) -> Option<String> {
    (tenant.lease_class != v1::LeaseClass::Unspecified as i32).then(|| words::lease_class(tenant.lease_class))
}

fn as_json(tenant: &v1::Tenant) -> Value {
    json!({
        "name": tenant.name,
        "state": words::tenant_state(tenant.state),
        "display_name": tenant.display_name,
        "etag": tenant.etag,
        "lease_class": class_of(tenant),
        "created_at": words::time_json(tenant.created_at.as_ref()),
        "sessions_ended_before": words::time_json(tenant.sessions_ended_before.as_ref()),
    })
}
