//! `portcullis role`.

use clap::{ArgGroup, Args, Subcommand};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::roles_service_client::RolesServiceClient;
use serde_json::{Value, json};

use super::present;
use crate::authority::Authority;
use crate::failure::Failure;
use crate::grant;
use crate::print::{Printer, Report};
use crate::reference::RequestArgs;
use crate::table::View;
use crate::words;

#[derive(Debug, Subcommand)]
pub(crate) enum RoleCommand {
    /// Makes a role, or gives an existing one other grants; live sockets of its holders are judged again.
    #[command(after_help = PUT_HELP)]
    Put(PutArgs),
    /// Shows one: portcullis role show --tenant demo --name member
    Show(RoleArgs),
    /// Takes a role from everybody who has it and removes it; their live sockets are judged again.
    Delete(DeleteArgs),
    /// Reads all roles of a tenant, by name.
    List(ListArgs),
}

const PUT_HELP: &str = "\
Example:
  portcullis role put --tenant demo --name member --grant subscribe='room:*' --grant publish='room:*'

Actions: subscribe, publish, presence, history, call. A * at the end of a pattern stands for any rest.";

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("allowed").args(["grants", "no_grants"]).required(true))]
pub(crate) struct PutArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// The role's name.
    #[arg(long)]
    name: String,
    /// What it allows; may be repeated. Grants that are not named are taken away.
    #[arg(long = "grant", value_name = "ACTION=PATTERN", value_parser = grant::parse)]
    grants: Vec<v1::Grant>,
    /// Allows nothing.
    #[arg(long)]
    no_grants: bool,
    /// Only if it still has this etag (role show).
    #[arg(long, default_value = "", hide_default_value = true)]
    etag: String,
    #[command(flatten)]
    request: RequestArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RoleArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// The role's name.
    #[arg(long)]
    name: String,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    role: RoleArgs,
    #[command(flatten)]
    request: RequestArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
}

pub(crate) async fn run(command: RoleCommand, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    match command {
        RoleCommand::Put(args) => put(args, authority, printer).await,
        RoleCommand::Show(args) => show(args, authority, printer).await,
        RoleCommand::Delete(args) => delete(args, authority, printer).await,
        RoleCommand::List(args) => list(args, authority, printer).await,
    }
}

async fn put(args: PutArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let role = v1::Role { tenant: args.tenant, name: args.name, grants: args.grants, ..v1::Role::default() };
    let (etag, request_id) = (args.etag, args.request.request_id);
    let answer = authority
        .call(v1::PutRoleRequest { role: Some(role), request_id, etag }, async |channel, request| {
            RolesServiceClient::new(channel).put_role(request).await
        })
        .await?;
    let role = present(answer.role, "role")?;
    let view = View::Fields(vec![
        ("tenant", role.tenant.clone()),
        ("role", role.name.clone()),
        ("grants", grant::all_in_words(&role.grants)),
        ("revision", words::revision(answer.revision.as_ref())),
    ]);
    let revision = words::revision_json(answer.revision.as_ref());
    printer.report(&Report { json: json!({ "role": as_json(&role), "revision": revision }), view })
}

async fn show(args: RoleArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let answer = authority
        .call(v1::GetRoleRequest { tenant: args.tenant, name: args.name }, async |channel, request| {
            RolesServiceClient::new(channel).get_role(request).await
        })
        .await?;
    let role = present(answer.role, "role")?;
    let view = View::Fields(vec![
        ("tenant", role.tenant.clone()),
        ("role", role.name.clone()),
        ("grants", grant::all_in_words(&role.grants)),
    ]);
    printer.report(&Report { json: json!({ "role": as_json(&role) }), view })
}

async fn delete(args: DeleteArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let RoleArgs { tenant, name } = args.role;
    let request = v1::DeleteRoleRequest { tenant, name, request_id: args.request.request_id };
    let answer = authority
        .call(request, async |channel, request| RolesServiceClient::new(channel).delete_role(request).await)
        .await?;
    let view = View::Fields(vec![
        ("role", "deleted; whoever had it is judged again".to_owned()),
        ("revision", words::revision(answer.revision.as_ref())),
    ]);
    printer.report(&Report { json: json!({ "revision": words::revision_json(answer.revision.as_ref()) }), view })
}

async fn list(args: ListArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let answer = authority
        .call(v1::ListRolesRequest { tenant: args.tenant }, async |channel, request| {
            RolesServiceClient::new(channel).list_roles(request).await
        })
        .await?;
    let rows = answer.roles.iter().map(|role| vec![role.name.clone(), grant::all_in_words(&role.grants)]);
    let view = View::Rows { columns: &["role", "grants"], rows: rows.collect(), empty: "The tenant has no roles." };
    let roles: Vec<Value> = answer.roles.iter().map(as_json).collect();
    printer.report(&Report { json: json!({ "roles": roles }), view })
}

fn as_json(role: &v1::Role) -> Value {
    json!({ "tenant": role.tenant, "name": role.name, "grants": grants_json(&role.grants), "etag": role.etag })
}

/// Grants for programs.
pub(super) fn grants_json(grants: &[v1::Grant]) -> Vec<Value> {
    grants.iter().map(|grant| json!({ "action": words::action(grant.action), "pattern": grant.pattern })).collect()
}
