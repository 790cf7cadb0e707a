//! `portcullis tenant`.

use clap::{Args, Subcommand};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::tenants_service_client::TenantsServiceClient;
use serde_json::{Value, json};

use super::present;
use crate::authority::Authority;
use crate::failure::Failure;
use crate::paging::{self, LimitArgs};
use crate::print::{Printer, Report};
use crate::table::View;
use crate::words;

#[derive(Debug, Subcommand)]
pub(crate) enum TenantCommand {
    /// Makes a tenant: portcullis tenant create demo
    Create(CreateArgs),
    /// Reads all tenants that the caller may see.
    List(LimitArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Its name, for ever: 1 to 63 of a-z, 0-9 and '-', beginning with a letter.
    name: String,
}

pub(crate) async fn run(command: TenantCommand, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    match command {
        TenantCommand::Create(args) => create(args, authority, printer).await,
        TenantCommand::List(args) => list(args, authority, printer).await,
    }
}

async fn create(args: CreateArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let answer = authority
        .call(v1::CreateTenantRequest { name: args.name }, async |channel, request| {
            TenantsServiceClient::new(channel).create_tenant(request).await
        })
        .await?;
    let tenant = present(answer.tenant, "tenant")?;
    let view =
        View::Fields(vec![("tenant", tenant.name.clone()), ("created", words::time(tenant.created_at.as_ref()))]);
    printer.report(&Report { json: json!({ "tenant": as_json(&tenant) }), view })
}

async fn list(args: LimitArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let listing = paging::read(args.limit, async |page_size, page_token| {
        let page = authority
            .call(v1::ListTenantsRequest { page_size, page_token }, async |channel, request| {
                TenantsServiceClient::new(channel).list_tenants(request).await
            })
            .await?;
        Ok((page.tenants, page.next_page_token))
    })
    .await?;
    let rows = listing.items.iter().map(|tenant| vec![tenant.name.clone(), words::time(tenant.created_at.as_ref())]);
    let view = View::Rows { columns: &["tenant", "created"], rows: rows.collect(), empty: "There are no tenants." };
    let tenants: Vec<Value> = listing.items.iter().map(as_json).collect();
    printer.report(&Report { json: json!({ "tenants": tenants, "truncated": listing.truncated }), view })?;
    listing.note().iter().for_each(|note| printer.note(note));
    Ok(())
}

fn as_json(tenant: &v1::Tenant) -> Value {
    json!({ "name": tenant.name, "created_at": words::time_json(tenant.created_at.as_ref()) })
}
