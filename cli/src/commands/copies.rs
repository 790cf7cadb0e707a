//! `portcullis backup` and `portcullis restore`: which program copies a store, and which puts a copy back.
//!
//! Neither is done over the network. A copy of the store holds what no call answers: the hashes of everybody's passwords and
//! the digests of every key. Whoever had an administrator's key for a minute would keep it, and revoking the key
//! would take nothing back. And what is served cannot be exchanged under those whom it serves.

use std::ffi::OsString;

use clap::Args;

use crate::failure::Failure;
use crate::print::Printer;

pub(super) const BACKUP_HELP: &str = "\
A copy is made on the authority's machine, while it serves:
  auth-service --config auth.toml backup /var/backups/portcullis-2026-07-01.db     # SQLite
  pg_dump --format=custom --file portcullis.dump portcullis                        # PostgreSQL, or pg_basebackup

Copy the key-encryption keys too, to another place: they are not in it, and without them its signing keys do not open.
It is not done over the network: a copy holds the hashes of everybody's passwords, which no call answers, and revoking
the key of whoever took it would take nothing back. See docs/operations.md, Back up and restore.";

pub(super) const RESTORE_HELP: &str = "\
A copy is put back on the authority's machine, while nothing serves the store:
  systemctl stop portcullis-auth
  auth-service --config auth.toml restore /var/backups/portcullis-2026-07-01.db --replace     # SQLite
  pg_restore --clean --dbname portcullis portcullis.dump                                      # PostgreSQL, and then
  auth-service --config auth.toml restored
  systemctl start portcullis-auth

What is served cannot be exchanged under those whom it serves. The key-encryption keys must be those of the copy. What
was revoked after it was made is to be revoked again: of SQLite the command says how many entries of the log are lost. By
`restored`, or as `restore` ends, gateways are told to judge every socket again. To end one session or key, see `portcullis revoke --help`.";

/// Whatever would be said to a command that does it.
#[derive(Debug, Args)]
pub(crate) struct CopyArgs {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    _words: Vec<OsString>,
}

/// Says how a copy is made.
pub(super) fn backup(printer: &Printer) -> Failure {
    printer.note(&format!("{BACKUP_HELP}\n"));
    Failure::Usage("nothing was copied: a copy is made on the authority's machine".to_owned())
}

/// Says how one is put back.
pub(super) fn restore(printer: &Printer) -> Failure {
    printer.note(&format!("{RESTORE_HELP}\n"));
    Failure::Usage("nothing was put back: a copy is put back on the authority's machine".to_owned())
}
