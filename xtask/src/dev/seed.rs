//! The demo's tenant, users, role, service accounts and keys, made through the command line like anyone would.
//!
//! Guarantees that a second start finds what the first made: everything is looked up before it is made, and a password
//! or key is in its file before anything rests on it.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use portcullis_types::Entropy;
use serde_json::{Map, Value, json};

use super::files;
use super::settings::Layout;
use crate::workspace;

const TENANT: &str = "demo";
const ROLE: &str = "member";
const USERS: [&str; 2] = ["alice", "bob"];
const GRANTS: [(&str, &str); 4] =
    [("subscribe", "room:*"), ("publish", "room:*"), ("subscribe", "public:*"), ("publish", "public:*")];

/// Why the demo could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SeedError {
    /// The command line could not be called.
    #[error("cannot call {}: {source}", program.display())]
    Call {
        /// Which.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It failed.
    #[error("`portcullis {command}` failed: {message}")]
    Failed {
        /// Without secrets: they are not arguments.
        command: String,
        /// What it said.
        message: String,
    },
    /// Its answer is not what it should be.
    #[error("`portcullis {command}` answered without {what}")]
    Answer {
        /// Without secrets: they are not arguments.
        command: String,
        /// What is missing.
        what: &'static str,
    },
    /// A file of the data directory.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Calls `portcullis` as the administrator.
pub(super) struct Seeder {
    program: PathBuf,
    endpoint: String,
    key_file: PathBuf,
}

impl Seeder {
    /// At this address, with this key.
    pub(super) fn new(program: PathBuf, grpc: &str, key_file: &Path) -> Self {
        Self { program, endpoint: format!("http://{grpc}"), key_file: key_file.to_owned() }
    }

    /// One command; its answer.
    fn call(&self, command: &[&str], input: &str) -> Result<Value, SeedError> {
        let output = self.output(command, input)?;
        let name = || command.join(" ");
        if !output.status.success() {
            return Err(SeedError::Failed { command: name(), message: message_of(&output) });
        }
        serde_json::from_slice(&output.stdout)
            .map_err(|_| SeedError::Answer { command: name(), what: "a JSON document" })
    }

    /// Whether the authority takes a credential.
    fn accepts(&self, credential: &str) -> Result<bool, SeedError> {
        let output = self.output(&["verify"], credential)?;
        match output.status.code() {
            Some(0) => Ok(true),
            Some(1 | 2) => Ok(false),
            _ => Err(SeedError::Failed { command: "verify".to_owned(), message: message_of(&output) }),
        }
    }

    fn output(&self, command: &[&str], input: &str) -> Result<Output, SeedError> {
        let failed = |source| SeedError::Call { program: self.program.clone(), source };
        let mut child = self
            .command(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(input.as_bytes()));
        match written {
            // It did not want its input; its answer says the rest.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
        child.wait_with_output().map_err(failed)
    }

    fn command(&self, command: &[&str]) -> Command {
        let mut called = workspace::without_configuration(&self.program);
        called.args(command).args(["--output", "json", "--endpoint", &self.endpoint]);
        called.arg("--api-key-file").arg(&self.key_file);
        called
    }
}

fn message_of(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().last().unwrap_or("it said nothing");
    let message = serde_json::from_str::<Value>(last).ok();
    message.as_ref().and_then(|json| json["error"]["message"].as_str()).unwrap_or(last).to_owned()
}

/// Makes what is missing of the demo.
pub(super) fn demo(seeder: &Seeder, layout: &Layout, entropy: &dyn Entropy) -> Result<(), SeedError> {
    tenant(seeder)?;
    role(seeder)?;
    users(seeder, &layout.passwords(), entropy)?;
    key(seeder, "system", "gateway", "verify,watch", &layout.gateway_key())?;
    let scopes = "verify,issue,revoke,identity.read,identity.write";
    key(seeder, TENANT, "backend", scopes, &layout.backend_key())
}

fn tenant(seeder: &Seeder) -> Result<(), SeedError> {
    let listed = seeder.call(&["tenant", "list"], "")?;
    if !is_among(&listed["tenants"], TENANT) {
        seeder.call(&["tenant", "create", TENANT], "")?;
    }
    Ok(())
}

fn role(seeder: &Seeder) -> Result<(), SeedError> {
    let listed = seeder.call(&["role", "list", "--tenant", TENANT], "")?;
    if !is_among(&listed["roles"], ROLE) {
        let grants: Vec<String> = GRANTS.iter().map(|(action, pattern)| format!("{action}={pattern}")).collect();
        let mut command = vec!["role", "put", "--tenant", TENANT, "--name", ROLE];
        command.extend(grants.iter().flat_map(|grant| ["--grant", grant.as_str()]));
        seeder.call(&command, "")?;
    }
    Ok(())
}

fn users(seeder: &Seeder, file: &Path, entropy: &dyn Entropy) -> Result<(), SeedError> {
    let failed = |source| SeedError::File { path: file.to_owned(), source };
    let mut passwords = read_passwords(file).map_err(failed)?;
    let missing: Vec<&str> = USERS.into_iter().filter(|name| !passwords.contains_key(*name)).collect();
    for name in &missing {
        passwords.insert((*name).to_owned(), json!(password(entropy)));
    }
    if !missing.is_empty() {
        files::write_private(file, &Value::from(passwords.clone()).to_string()).map_err(failed)?;
    }
    let listed = seeder.call(&["identity", "list", "--tenant", TENANT], "")?;
    for name in USERS {
        let password = passwords.get(name).and_then(Value::as_str).unwrap_or_default();
        let whose = ["--tenant", TENANT, "--name", name, "--password-stdin"];
        if !is_among(&listed["identities"], name) {
            seeder.call(&[&["identity", "create", "--role", ROLE], &whose[..]].concat(), password)?;
        } else if missing.contains(&name) {
            seeder.call(&[&["identity", "set-password"], &whose[..]].concat(), password)?;
        }
    }
    Ok(())
}

fn read_passwords(file: &Path) -> io::Result<Map<String, Value>> {
    match fs::read(file) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Map::new()),
        Err(error) => Err(error),
    }
}

/// 96 random bits.
fn password(entropy: &dyn Entropy) -> String {
    entropy.array::<12>().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A service account with a key in a file that the authority takes.
fn key(seeder: &Seeder, tenant: &str, name: &str, scopes: &str, file: &Path) -> Result<(), SeedError> {
    let failed = |source| SeedError::File { path: file.to_owned(), source };
    let listed = seeder.call(&["identity", "list", "--tenant", tenant], "")?;
    if !is_among(&listed["identities"], name) {
        seeder.call(&["identity", "create", "--kind", "service", "--tenant", tenant, "--name", name], "")?;
    }
    let kept = match fs::read_to_string(file) {
        Ok(key) => seeder.accepts(&key)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(failed(error)),
    };
    if kept {
        return Ok(());
    }
    let command =
        ["api-key", "create", "--tenant", tenant, "--name", name, "--label", "cargo xtask dev", "--scope", scopes];
    let made = seeder.call(&command, "")?;
    let missing = || SeedError::Answer { command: command[..2].join(" "), what: "a secret" };
    let secret = made["secret"].as_str().ok_or_else(missing)?;
    files::write_private(file, &format!("{secret}\n")).map_err(failed)
}

fn is_among(list: &Value, name: &str) -> bool {
    list.as_array().is_some_and(|items| items.iter().any(|item| item["name"] == name))
}

#[cfg(test)]
mod tests {
    use portcullis_types::SeededEntropy;

    use super::*;
    use crate::dev::files::testing::Folder;

    #[test]
    fn passwords_are_long_enough_and_differ() {
        let entropy = SeededEntropy::new(1);
        let (first, second) = (password(&entropy), password(&entropy));
        assert_eq!(first.len(), 24);
        assert_ne!(first, second);
    }

    #[test]
    fn a_missing_password_file_is_an_empty_one_and_a_broken_one_is_an_error() {
        let folder = Folder::new();
        let file = folder.0.join("demo-passwords.json");
        assert!(read_passwords(&file).expect("not there is fine").is_empty());
        files::write_private(&file, "{").expect("written");
        assert!(read_passwords(&file).is_err());
    }

    #[test]
    fn a_name_is_found_in_a_list_of_the_command_line() {
        let list = json!([{ "name": "alice" }, { "name": "bob" }]);
        assert!(is_among(&list, "bob") && !is_among(&list, "carol") && !is_among(&Value::Null, "bob"));
    }
}
