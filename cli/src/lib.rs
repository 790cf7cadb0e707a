//! `portcullis`: the command line for operators and teams, a client of the gRPC API like any other.
//!
//! Owns: reading arguments, secrets and keys, one call, and words for the answer. It holds no rule of the authority.
//! Guarantees: the exit code says what happened (0 done, 1 refused or denied, 2 wrong usage, 3 authority not reached,
//! 4 not known to be enforced);
//! a secret is printed only by a command whose purpose is to issue it.
//! Refuses: secrets as arguments, and plaintext to any host but this one.

mod args;
mod authority;
mod commands;
mod failure;
mod grant;
mod input;
mod instant;
mod paging;
mod print;
mod proof;
mod receipt;
mod reference;
mod span;
mod table;
mod words;

use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::print::Printer;

/// Every command, as the parser knows them.
pub fn commands() -> clap::Command {
    args::Cli::command()
}

/// Does what the arguments of this process say.
pub fn run() -> ExitCode {
    let cli = match args::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    let printer = Printer::new(std::io::stdout(), cli.globals.output, cli.globals.only.clone());
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(commands::run(cli, &printer)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            printer.failure(&failure);
            failure.exit_code()
        }
    }
}
