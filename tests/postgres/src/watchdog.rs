//! What stops a server when the test program is gone: a shell that holds one end of a pipe.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::programs::User;

/// Runs the server until there is a line or the end of its input, and stops it; unless the line says `keep`, removes the
/// folder too. `$1` is the folder, the rest the server's command.
const SCRIPT: &str = r#"
folder=$1; shift
"$@" </dev/null &
server=$!
trap '' INT TERM HUP
word=
read -r word
kill -QUIT "$server" 2>/dev/null
wait "$server"
[ "$word" = keep ] || rm -rf "$folder"
"#;

/// A server and who watches it.
#[derive(Debug)]
pub(crate) struct Watched(Child);

impl Watched {
    /// Runs a command until this is dropped or the program ends; `folder` goes with it.
    pub(crate) fn run(server: &Command, folder: &Path, user: Option<User>) -> Self {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", SCRIPT, "watchdog"]).arg(folder);
        shell.arg(server.get_program()).args(server.get_args()).current_dir("/");
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        if let Some(user) = user {
            shell.uid(user.uid).gid(user.gid);
        }
        Self(shell.spawn().expect("there is a shell"))
    }

    /// Stops the server at once, and keeps the folder.
    pub(crate) fn stop(mut self) {
        if let Some(stdin) = &mut self.0.stdin {
            stdin.write_all(b"keep\n").expect("the shell runs");
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
