//! The command line, as a person or a script runs it.
//!
//! Guarantees: what it says is searched for secrets, and what it was asked to show is remembered; nothing of this
//! process's environment steers it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::{Authority, program, remember, secrets};

/// Subcommands whose purpose is to show a secret.
const SHOW: [&[&str]; 9] = [
    &["login"],
    &["token"],
    &["ticket", "create"],
    &["api-key", "create"],
    &["api-key", "rotate"],
    &["totp", "enrol"],
    &["totp", "confirm"],
    &["totp", "recovery-codes"],
    &["password", "reset"],
];

/// The command line with what every call of it is given.
#[derive(Clone, Debug, Default)]
pub struct Cli {
    always: Vec<String>,
    variables: Vec<(&'static str, String)>,
    input: String,
    folder: Option<PathBuf>,
}

/// What it said.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its exit code.
    pub code: i32,
    /// Its answer.
    pub stdout: String,
    /// What it said besides.
    pub stderr: String,
}

impl Cli {
    /// At this URL, as nobody.
    pub fn at(endpoint: &str) -> Self {
        Self::default().with(&["--endpoint", endpoint])
    }

    /// As the administrator of an authority that is spoken to in the clear.
    pub fn admin(authority: &Authority) -> Self {
        Self::at(&format!("http://{}", authority.grpc)).key_file(authority.admin_key_file())
    }

    /// As whoever has the key in this file.
    #[must_use]
    pub fn key_file(self, file: &Path) -> Self {
        remember("an API key", std::fs::read_to_string(file).unwrap_or_default().trim());
        self.with(&["--api-key-file", file.to_str().expect("the path is text")])
    }

    /// As whoever has this key.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.secret("PORTCULLIS_API_KEY", key)
    }

    /// With these arguments before those of each call.
    #[must_use]
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.always.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// With a secret in its environment.
    #[must_use]
    pub fn secret(mut self, variable: &'static str, secret: &str) -> Self {
        remember("a secret of the environment", secret);
        self.variables.push((variable, secret.to_owned()));
        self
    }

    /// With a secret on its standard input.
    #[must_use]
    pub fn input(mut self, secret: &str) -> Self {
        remember("a secret of standard input", secret);
        secret.clone_into(&mut self.input);
        self
    }

    /// Run beside the files of this folder.
    #[must_use]
    pub fn beside(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it cannot be run, or says a secret that it was not asked for.
    pub fn run(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(program("portcullis"));
        for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("PORTCULLIS_")) {
            command.env_remove(key);
        }
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command.args(&self.always).args(arguments).envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut input = child.stdin.take().expect("it is piped");
        // A command that reads nothing may be gone already.
        let _ = input.write_all(self.input.as_bytes());
        drop(input);
        let output = child.wait_with_output().expect("it ends");
        let text = |bytes| String::from_utf8(bytes).expect("it speaks text");
        let code = output.status.code().expect("nobody killed it");
        let said = Said { code, stdout: text(output.stdout), stderr: text(output.stderr) };
        said.search(arguments);
        said
    }

    /// The same where the runtime has something else to do meanwhile.
    pub async fn ask(&self, arguments: &[&str]) -> Said {
        let (cli, arguments) = (self.clone(), arguments.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
        let run = move || cli.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        match tokio::task::spawn_blocking(run).await {
            Ok(said) => said,
            Err(failed) => std::panic::resume_unwind(failed.into_panic()),
        }
    }
}

impl Said {
    /// Its answer, when it is one document.
    ///
    /// # Panics
    /// When it is not.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("not a document: {self}"))
    }

    /// Its answer, after it did what it was told.
    ///
    /// # Panics
    /// When it did not.
    pub fn done(&self) -> &str {
        assert_eq!(self.code, 0, "{self}");
        self.stdout.trim_end()
    }

    fn search(&self, arguments: &[&str]) {
        let words: Vec<_> = arguments.iter().copied().filter(|word| !word.starts_with('-')).collect();
        let place = |stream: &str| format!("the {stream} of portcullis {}", words.join(" "));
        secrets::assert_none_in(&place("stderr"), self.stderr.as_bytes());
        if SHOW.iter().any(|command| words.windows(command.len()).any(|part| part == *command)) {
            secrets::assert_none_known_in(&place("stdout"), self.stdout.as_bytes());
            secrets::remember_text(&self.stdout);
            let only = arguments.iter().position(|&flag| flag == "--only").and_then(|at| arguments.get(at + 1));
            only.iter().for_each(|path| secrets::remember_at(path, self.stdout.trim_end()));
        } else {
            secrets::assert_none_in(&place("stdout"), self.stdout.as_bytes());
        }
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "it ended with {}: {}{}", self.code, self.stdout, self.stderr)
    }
}
