//! `portcullis receipt`.

use std::time::Duration;

use clap::Args;
use portcullis_types::Revision;

use crate::authority::Authority;
use crate::failure::Failure;
use crate::print::Printer;
use crate::{receipt, span};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portcullis receipt 12-00f3a9c4d1e2b607
  portcullis receipt 12-00f3a9c4d1e2b607 --wait=1m --output json

The exit code is 0 when it is enforced and 4 when that is not known.")]
pub(crate) struct ReceiptArgs {
    /// The revision, as the revocation was answered.
    revision: Revision,
    /// Waits until it is enforced, for 30s or as long as is said.
    #[arg(long, value_name = "SPAN", num_args = 0..=1, require_equals = true, default_missing_value = "30s",
        value_parser = span::parse)]
    wait: Option<Duration>,
}

pub(crate) async fn run(args: ReceiptArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    match args.wait {
        None => receipt::show(args.revision.into(), authority, printer).await,
        Some(time) => receipt::follow(args.revision.into(), time, authority, printer).await,
    }
}
