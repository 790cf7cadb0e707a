//! Where PostgreSQL's programs are, and who may run them.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where Debian keeps the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Who may run them when we may not; the first that exists.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// A user that is not the superuser.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Who runs the server: none for ourselves.
///
/// # Panics
/// When we are the superuser and there is nobody else.
pub(crate) fn user() -> Option<User> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &&str| passwd.lines().find_map(|line| user_in(line, name));
    Some(
        USERS.iter().find_map(find).expect("the user postgres or nobody, because the superuser may not run PostgreSQL"),
    )
}

fn user_in(line: &str, name: &str) -> Option<User> {
    let mut fields = line.split(':');
    if fields.next() != Some(name) {
        return None;
    }
    let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(User { uid, gid })
}

/// A program of the newest version that is installed, run by [`user`].
///
/// # Panics
/// When there is none.
pub(crate) fn program(name: &str) -> Command {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| on_path().or_else(newest));
    let Some(folder) = folder else {
        panic!("PostgreSQL is not installed; run: sudo apt-get update && sudo apt-get install -y postgresql");
    };
    let mut command = Command::new(folder.join(name));
    command.current_dir("/");
    if let Some(user) = user() {
        command.uid(user.uid).gid(user.gid);
    }
    command
}

fn on_path() -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).find(|folder| has_server(folder))
}

fn newest() -> Option<PathBuf> {
    let versions = std::fs::read_dir(DEBIAN).ok()?.flatten().map(|entry| entry.path());
    let of = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    versions.filter(|path| has_server(&path.join("bin"))).max_by_key(of).map(|path| path.join("bin"))
}

fn has_server(folder: &Path) -> bool {
    ["initdb", "postgres", "psql"].iter().all(|name| folder.join(name).is_file())
}
