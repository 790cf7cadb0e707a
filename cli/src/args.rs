//! The arguments, and what is said when they are wrong.
//!
//! Guarantees that no message of the parser repeats a credential that was put on the command line by mistake.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser, ValueEnum};
use portcullis_types::OpaqueKind;

use crate::commands::Command;
use crate::span;

const AFTER_HELP: &str = "\
Examples:
  export PORTCULLIS_API_KEY_FILE=.portcullis/dev/admin.key
  portcullis identity create --tenant demo --name carol --role member
  portcullis login --tenant demo --name carol --only tokens.access_token | portcullis verify
  portcullis revoke identity --tenant demo --name carol --reason compromised
  portcullis log tail --from-start --output json

Secrets are read from standard input, the environment or a prompt, never from arguments:
  PORTCULLIS_API_KEY     the key of the caller, where there is no key file
  PORTCULLIS_PASSWORD    a password, where standard input is not used
  PORTCULLIS_NEW_PASSWORD    a password in place of another one
  PORTCULLIS_SECOND_FACTOR   a code of an authenticator app, or a recovery code
  PORTCULLIS_CREDENTIAL  a credential to look at, where standard input is not used

Exit codes: 0 done, 1 refused or denied, 2 wrong usage, 3 the authority was not reached, 4 a revocation is committed
and not known to be enforced everywhere yet.";

/// The command line of Portcullis: identities, credentials and revocation, over the authority's gRPC API.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, after_help = AFTER_HELP, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Globals {
    /// The authority's gRPC address; https anywhere, http on this machine only.
    #[arg(
        long,
        global = true,
        env = "PORTCULLIS_ENDPOINT",
        default_value = "http://127.0.0.1:7700",
        value_name = "URL",
        help_heading = "Connection and output"
    )]
    pub(crate) endpoint: String,
    /// Over https: the certificate authorities that may vouch for the authority, in PEM.
    #[arg(
        long,
        global = true,
        env = "PORTCULLIS_CA_FILE",
        value_name = "FILE",
        help_heading = "Connection and output"
    )]
    pub(crate) ca_file: Option<PathBuf>,
    /// Over https: the name that the authority's certificate must have; without it, the endpoint's host.
    #[arg(
        long,
        global = true,
        env = "PORTCULLIS_SERVER_NAME",
        value_name = "NAME",
        help_heading = "Connection and output"
    )]
    pub(crate) server_name: Option<String>,
    /// Over https: the caller's certificate, in PEM. It says who calls where there is no API key.
    #[arg(
        long,
        global = true,
        env = "PORTCULLIS_CLIENT_CERT",
        value_name = "FILE",
        requires = "client_key",
        help_heading = "Connection and output"
    )]
    pub(crate) client_cert: Option<PathBuf>,
    /// The private key of that certificate, in PEM.
    #[arg(
        long,
        global = true,
        env = "PORTCULLIS_CLIENT_KEY",
        value_name = "FILE",
        requires = "client_cert",
        help_heading = "Connection and output"
    )]
    pub(crate) client_key: Option<PathBuf>,
    /// The file that holds the caller's API key; it wins over PORTCULLIS_API_KEY.
    #[arg(
        long,
        global = true,
        env = "PORTCULLIS_API_KEY_FILE",
        value_name = "FILE",
        help_heading = "Connection and output"
    )]
    pub(crate) api_key_file: Option<PathBuf>,
    /// How long to wait for the authority: 500ms, 10s, 2m.
    #[arg(
        long,
        global = true,
        default_value = "10s",
        value_parser = span::parse,
        value_name = "SPAN",
        help_heading = "Connection and output"
    )]
    pub(crate) timeout: Duration,
    /// How to print.
    #[arg(long, global = true, value_enum, default_value_t = Output::Table, help_heading = "Connection and output")]
    pub(crate) output: Output,
    /// Prints one field of the JSON document and nothing else, such as `tokens.access_token`.
    #[arg(long, global = true, value_name = "PATH", help_heading = "Connection and output")]
    pub(crate) only: Option<String>,
}

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs: one document, or one line an event.
    Json,
}

/// Reads the arguments; help, version and mistakes are printed here and end the program.
pub(crate) fn read(arguments: impl Iterator<Item = OsString>) -> Result<Cli, ExitCode> {
    let arguments: Vec<OsString> = arguments.collect();
    parse(&arguments).map_err(|error| {
        let texts: Vec<String> = arguments.iter().map(|text| text.to_string_lossy().into_owned()).collect();
        if texts.iter().any(|text| credential_in(text).is_some()) && error.use_stderr() {
            eprint!("{}", without_credentials(&error.render().to_string(), &texts));
            eprintln!(
                "\nA credential on the command line can be read by every user of this machine. \
                 Pipe it in instead, and revoke this one."
            );
        } else if error.print().is_err() {
            return ExitCode::FAILURE;
        }
        u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
    })
}

/// What is missing is said with the usage of the command as it is: the parser's own would list what was given with it, and
/// of a choice only what is left.
fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(arguments).map_err(|mut error| {
        if error.kind() == ErrorKind::MissingRequiredArgument {
            error.insert(ContextKind::Usage, ContextValue::StyledStr(usage(arguments)));
        }
        error
    })
}

/// Of the command that the arguments name.
fn usage(arguments: &[OsString]) -> StyledStr {
    let mut root = Cli::command();
    root.build();
    let mut command = &mut root;
    for word in arguments.iter().skip(1) {
        if command.find_subcommand(word).is_some() {
            command = command.find_subcommand_mut(word).expect("it was found");
        }
    }
    command.render_usage()
}

fn without_credentials(message: &str, arguments: &[String]) -> String {
    let mut clean = message.to_owned();
    for credential in arguments.iter().filter_map(|text| credential_in(text)) {
        clean = clean.replace(credential, "<credential>");
    }
    clean
}

/// The part of an argument that looks like one of our credentials: the whole of it, or what follows `--flag=`.
fn credential_in(argument: &str) -> Option<&str> {
    let value = match argument.split_once('=') {
        Some((flag, value)) if flag.starts_with("--") => value,
        _ => argument,
    };
    let value = value.trim();
    let jwt = value.starts_with("eyJ") && value.contains('.');
    (jwt || (OpaqueKind::claimed_by(value).is_some() && value.len() > 20)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of arguments that lack something.
    fn missing(arguments: &str) -> String {
        let words: Vec<OsString> = std::iter::once("portcullis").chain(arguments.split(' ')).map(Into::into).collect();
        parse(&words).expect_err("something is missing").render().to_string()
    }

    #[test]
    fn of_a_choice_that_was_not_made_every_alternative_is_named() {
        let rotate = "--tenant demo 0192f0c1-2345-7abc-8def-0123456789ab";
        for (arguments, choice) in [
            ("revoke sessions --tenant demo --name alice".to_owned(), "<--before <TIME>|--device <DEVICE>>"),
            ("revoke credential --tenant demo".to_owned(), "<ID|--stdin>"),
            (format!("api-key rotate {rotate}"), "<--overlap <SPAN>|--at-once>"),
            (format!("signature-key rotate {rotate} key.pem"), "<--overlap <SPAN>|--at-once>"),
            ("role put --tenant demo --name member".to_owned(), "<--grant <ACTION=PATTERN>|--no-grants>"),
            ("identity set-roles --tenant demo --name alice".to_owned(), "<--role <ROLE>|--no-roles>"),
            (
                "issuer put --tenant demo --name corp --url https://id.example --audience a --identity {sub}"
                    .to_owned(),
                "<--create|--link>",
            ),
            ("issuer subjects --tenant demo".to_owned(), "<--issuer <NAME>|--identity <ID>|--name <NAME>>"),
        ] {
            let said = missing(&arguments);
            let (wanted, usage) = said.split_once("Usage:").expect("it ends with the usage");
            assert!(wanted.contains(choice) && usage.contains(choice), "{arguments}: {said}");
        }
    }

    #[test]
    fn what_was_given_is_not_said_to_be_missing() {
        let said = missing("revoke sessions --tenant demo --name alice --endpoint http://127.0.0.1:1");
        assert!(!said.contains("--endpoint"), "{said}");
        assert!(said.contains("portcullis revoke sessions [OPTIONS] --tenant <TENANT>"), "{said}");
    }

    #[test]
    fn the_parser_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_credential_given_as_an_argument_is_not_repeated() {
        let key = "pk_AAAAAAAAAAAAAAAAAAAAAA_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAbbbbbb";
        for arguments in
            [vec!["portcullis", "verify", key], vec!["portcullis", "verify", "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"]]
        {
            let texts: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
            let error = Cli::try_parse_from(&texts).expect_err("verify takes no argument");
            let clean = without_credentials(&error.render().to_string(), &texts);
            assert!(clean.contains("<credential>"), "{clean}");
            assert!(!clean.contains(texts[2].as_str()), "{clean}");
        }
    }

    #[test]
    fn a_credential_behind_an_equals_sign_is_found() {
        let key = "pk_AAAAAAAAAAAAAAAAAAAAAA_AAAA";
        assert_eq!(credential_in(&format!("--api-key={key}")), Some(key));
        assert_eq!(credential_in("room:*"), None);
        assert_eq!(credential_in("pk_short"), None);
    }

    #[test]
    fn a_password_given_as_an_argument_is_not_repeated() {
        let arguments = ["portcullis", "login", "--tenant", "demo", "--name", "alice", "--password=hunter22"];
        let error = Cli::try_parse_from(arguments).expect_err("there is no such flag");
        assert!(!error.render().to_string().contains("hunter22"));
    }

    #[test]
    fn a_certificate_goes_with_its_key() {
        let list = |more: &[&str]| Cli::try_parse_from(["portcullis", "tenant", "list"].iter().chain(more));
        assert!(list(&["--client-cert", "cert.pem", "--client-key", "key.pem"]).is_ok());
        for half in [["--client-cert", "cert.pem"], ["--client-key", "key.pem"]] {
            assert!(list(&half).is_err(), "{half:?}");
        }
    }

    #[test]
    fn global_flags_are_taken_after_the_command_too() {
        let arguments = ["portcullis", "tenant", "list", "--output", "json", "--timeout", "3s"];
        let cli = Cli::try_parse_from(arguments).expect("valid arguments");
        assert_eq!(cli.globals.output, Output::Json);
        assert_eq!(cli.globals.timeout, Duration::from_secs(3));
    }
}
