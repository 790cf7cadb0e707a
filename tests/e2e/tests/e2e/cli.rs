//! The command line, whole: every command does what it says at a running site, and says so in JSON.

mod table;

use std::collections::HashMap;
use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use test_harness::{Cli, Said, Site, code_now, remember};

use table::{Row, rows};

/// What earlier rows were answered, by the names that they keep it under.
type Kept = HashMap<&'static str, String>;

/// The commands that have none beneath them, as words.
fn leaves(command: &clap::Command, above: &[String]) -> Vec<Vec<String>> {
    let beneath: Vec<_> = command.get_subcommands().filter(|command| command.get_name() != "help").collect();
    if beneath.is_empty() {
        return vec![above.to_vec()];
    }
    let deeper = |command: &&clap::Command| {
        let path: Vec<_> = above.iter().cloned().chain([command.get_name().to_owned()]).collect();
        leaves(command, &path)
    };
    beneath.iter().flat_map(deeper).collect()
}

#[test]
fn every_command_has_a_row() {
    let rows = rows();
    // Of what one provider said, which the scenes of issuers have; and what only says how it is done.
    let elsewhere = [vec!["issuer", "unlink"], vec!["backup"], vec!["restore"]];
    let known: Vec<Vec<&str>> = rows
        .iter()
        .filter(|row| row.code == 0)
        .map(|row| row.arguments.split_whitespace().collect())
        .chain(elsewhere)
        .collect();
    let leaves = leaves(&portcullis_cli::commands(), &[]);
    assert!(leaves.len() > 50, "the commands cannot be walked: {leaves:?}");
    let without: Vec<_> = leaves.iter().filter(|leaf| !known.iter().any(|row| row.starts_with(&words(leaf)))).collect();
    assert!(without.is_empty(), "no row runs {without:?}");
}

fn words(leaf: &[String]) -> Vec<&str> {
    leaf.iter().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_does_what_it_says() {
    let site = Site::start().await;
    let cli = Cli::at(&format!("http://{}", site.authority.grpc)).with(&["--output", "json"]).beside(site.folder());
    for file in ["client.pem", "next.pem"] {
        write_key(&site.folder().join(file));
    }
    let people = "{\"name\":\"frank\"}\n{\"name\":\"grace\",\"display_name\":\"Grace\"}\n";
    std::fs::write(site.folder().join("users.jsonl"), people).expect("it can be written");
    let mut kept = Kept::from([("admin", site.authority.admin_key())]);
    let mut wrong = Vec::new();
    for row in rows() {
        let said = run(&cli, &row, &kept).await;
        wrong.extend(wrong_with(&row, &said, &mut kept).map(|what| format!("{}: {what}: {said}", row.arguments)));
    }
    assert!(wrong.is_empty(), "{} rows are not as they say:\n{}", wrong.len(), wrong.join("\n"));
}

/// A private key as `openssl genpkey` writes one. Nothing may ever say it.
fn write_key(file: &Path) {
    let document = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).expect("it draws");
    let text = STANDARD.encode(document.as_ref());
    remember("a private key", &text);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    std::fs::write(file, pem).expect("it can be written");
}

/// What is not as the row says; what it keeps is kept.
fn wrong_with(row: &Row, said: &Said, kept: &mut Kept) -> Option<String> {
    if said.code != row.code {
        return Some(format!("{} instead of {}", said.code, row.code));
    }
    let answer = first_document(said);
    for (pointer, expected) in &row.says {
        let (found, expected) = (answer.pointer(pointer).map(text), filled(expected, kept));
        if found.as_ref() != Some(&expected) {
            return Some(format!("{found:?} instead of {expected:?} at {pointer}"));
        }
    }
    for (name, pointer) in &row.keeps {
        let Some(found) = answer.pointer(pointer) else { return Some(format!("nothing at {pointer}")) };
        kept.insert(name, text(found));
    }
    None
}

async fn run(cli: &Cli, row: &Row, kept: &Kept) -> Said {
    let mut cli = cli.clone().key(kept.get(row.by).map_or("", String::as_str));
    for (variable, secret) in &row.variables {
        let secret = match secret.strip_prefix("code of ") {
            Some(name) => code_now(kept.get(name).map_or("", String::as_str)),
            None => filled(secret, kept),
        };
        cli = cli.secret(variable, &secret);
    }
    if !row.input.is_empty() {
        cli = cli.input(&filled(row.input, kept));
    }
    let arguments: Vec<_> = row.arguments.split_whitespace().map(|argument| filled(argument, kept)).collect();
    cli.ask(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await
}

/// With what was kept in place of `{name}`.
fn filled(template: &str, kept: &Kept) -> String {
    let mut text = template.to_owned();
    for (name, value) in kept {
        text = text.replace(&format!("{{{name}}}"), value);
    }
    text
}

/// The answer, or what is said instead; a command that says several things says the answer first.
fn first_document(said: &Said) -> Value {
    let output = if said.stdout.is_empty() { &said.stderr } else { &said.stdout };
    let first = serde_json::Deserializer::from_str(output).into_iter().next();
    // What the parser says of wrong arguments is for people.
    first.and_then(Result::ok).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
