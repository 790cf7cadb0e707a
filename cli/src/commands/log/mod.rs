//! `portcullis log`: reads the revocation log as a gateway does, by a watch with a cursor, and checks its chain.

mod entry;
mod tail;

use clap::{Args, Subcommand};
use portcullis_types::Revision;

use crate::authority::Authority;
use crate::failure::Failure;
use crate::print::Printer;

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Prints entries as they are committed, from now on or from where it is told.
    #[command(after_help = TAIL_HELP)]
    Tail(TailArgs),
}

const TAIL_HELP: &str = "\
Examples:
  portcullis log tail
  portcullis log tail --from-start --no-follow --output json
  portcullis log tail --after 12-00f3a9c4d1e2b607

An entry names what it covers by digests that only the authority can make. The chain is checked: an entry that does
not follow the one before it ends the command with exit code 1.";

#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// Begins after this revision; it must be on the authority's chain.
    #[arg(long, value_name = "REVISION", group = "beginning")]
    after: Option<Revision>,
    /// Begins with the oldest entry that is kept.
    #[arg(long, group = "beginning")]
    from_start: bool,
    /// Ends at the head instead of waiting for more.
    #[arg(long, requires = "beginning")]
    no_follow: bool,
}

pub(crate) async fn run(command: LogCommand, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let LogCommand::Tail(args) = command;
    tail::run(&args, authority, printer).await
}
