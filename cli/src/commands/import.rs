//! `portcullis identity import`: a file of people who come from another program, with the hashes of their passwords.
//!
//! Guarantees: a line is one request, named after the identity that it makes, so that whoever runs it again goes on where
//! it ended and changes nothing that was done; no line is repeated in what is said, because there is a hash in it.
//! Bounded: so many requests at a time as is asked for, and lines of [`MOST_BYTES`].

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use futures_util::{StreamExt as _, stream};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::identities_service_client::IdentitiesServiceClient;
use portcullis_types::{KeyDigest, KeyKind, TenantId};
use serde_json::{Map, Value, json};

use crate::authority::Authority;
use crate::failure::Failure;
use crate::input;
use crate::print::{Printer, Report};
use crate::table::View;

/// Longer than any identity with all its attributes.
const MOST_BYTES: u64 = 65_536;

pub(super) const HELP: &str = "\
Each line is a JSON object: name, and perhaps kind (user, service), display_name, attributes, roles and password_hash
(as `password import` takes it: `$argon2id$`, `$scrypt$`, `$2b$`, …). A hash is verified as it is, and replaced by one
of ours at the first login. No session is ended, because there is none.

  {\"name\": \"carol\", \"roles\": [\"member\"], \"password_hash\": \"$2b$12$…\"}

Lines that are refused are reported with their numbers and the rest is done. Whatever happens: run it again. For a day,
what was done is recognized; after that, --keep-existing passes over names that are there.

Examples:
  portcullis identity import --tenant demo --file users.jsonl
  portcullis identity import --tenant demo --file users.jsonl --output json > refused.jsonl

Exit codes: 0 all are there, 1 some lines were refused, 3 the authority was lost before the end.";

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// The file, of JSON lines.
    #[arg(long)]
    file: PathBuf,
    /// How many requests are made at a time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    concurrency: u16,
    /// Leaves an identity that is there already as it is.
    #[arg(long)]
    keep_existing: bool,
}

/// What became of a line.
enum Outcome {
    /// It is there.
    Done,
    /// It was there, made by something else.
    Kept,
    /// Not this one.
    Refused { reason: String, message: String },
}

/// What became of the file.
#[derive(Debug, Default)]
struct Counts {
    done: u64,
    kept: u64,
    refused: u64,
}

pub(super) async fn run(args: ImportArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let tenant = TenantId::try_from(args.tenant.as_str()).map_err(|wrong| Failure::usage(wrong.to_string()))?;
    let lines = Lines::of(&args.file)?;
    let (tenant, keep) = (&tenant, args.keep_existing);
    let made = stream::iter(lines).map(|(number, line)| async move {
        let outcome = match line? {
            Ok(line) => make(tenant, line, keep, authority).await?,
            Err(why) => Outcome::Refused { reason: "LINE".to_owned(), message: why.to_owned() },
        };
        Ok::<_, Failure>((number, outcome))
    });
    let mut made = made.buffered(usize::from(args.concurrency));
    let mut counts = Counts::default();
    let lost = loop {
        match made.next().await {
            None => break None,
            Some(Err(failure)) => break Some(failure),
            Some(Ok((_, Outcome::Done))) => counts.done += 1,
            Some(Ok((_, Outcome::Kept))) => counts.kept += 1,
            Some(Ok((number, Outcome::Refused { reason, message }))) => {
                counts.refused += 1;
                let line = || format!("line {number}: {message} ({reason})\n");
                printer.event(&json!({ "line": number, "reason": reason, "message": message }), line)?;
            }
        }
    };
    report(&counts, printer)?;
    match lost {
        Some(failure) => Err(failure),
        None if counts.refused > 0 => Err(Failure::Denied),
        None => Ok(()),
    }
}

fn report(counts: &Counts, printer: &Printer) -> Result<(), Failure> {
    let Counts { done, kept, refused } = counts;
    let view = View::Fields(vec![
        ("there now", done.to_string()),
        ("there before", kept.to_string()),
        ("refused", refused.to_string()),
    ]);
    printer.report(&Report { json: json!({ "done": done, "kept": kept, "refused": refused }), view })
}

async fn make(tenant: &TenantId, line: String, keep: bool, authority: &Authority) -> Result<Outcome, Failure> {
    let request = request_of(tenant, &line);
    input::wipe(line);
    let request = match request {
        Ok(request) => request,
        Err(why) => return Ok(Outcome::Refused { reason: "LINE".to_owned(), message: why.to_owned() }),
    };
    let answer = authority
        .call(request, async |channel, request| IdentitiesServiceClient::new(channel).create_identity(request).await)
        .await;
    match answer {
        Ok(_) => Ok(Outcome::Done),
        Err(Failure::Refused(refusal)) if keep && refusal.reason() == Some("IDENTITY_EXISTS") => Ok(Outcome::Kept),
        // Nothing of the file would be taken.
        Err(Failure::Refused(refusal)) if refusal.is_of_caller_or_tenant() => Err(Failure::Refused(refusal)),
        Err(Failure::Refused(refusal)) => Ok(Outcome::Refused {
            reason: refusal.reason().unwrap_or("UNKNOWN").to_owned(),
            message: refusal.message().to_owned(),
        }),
        Err(failure) => Err(failure),
    }
}

/// What a line asks for; or what is wrong with it, in words of ours alone.
fn request_of(tenant: &TenantId, line: &str) -> Result<v1::CreateIdentityRequest, &'static str> {
    let Ok(Value::Object(mut members)) = serde_json::from_str(line) else { return Err("it is not a JSON object") };
    let name = take_text(&mut members, "name")?.ok_or("it has no name")?;
    let kind = match take_text(&mut members, "kind")?.as_deref() {
        None | Some("user") => v1::IdentityKind::User,
        Some("service") => v1::IdentityKind::Service,
        Some(_) => return Err("its kind is neither user nor service"),
    };
    let request = v1::CreateIdentityRequest {
        tenant: tenant.to_string(),
        kind: kind.into(),
        password: String::new(),
        roles: take_roles(&mut members)?,
        display_name: take_text(&mut members, "display_name")?.unwrap_or_default(),
        attributes: take_attributes(&mut members)?.into_iter().collect(),
        request_id: request_id(tenant, &name),
        password_hash: take_text(&mut members, "password_hash")?.unwrap_or_default(),
        name,
    };
    // What is misspelt would be left out for ever.
    if members.is_empty() { Ok(request) } else { Err("it has a member that means nothing here") }
}

/// The same for the same identity, whatever the line says of it: so a line that was changed since is refused.
fn request_id(tenant: &TenantId, name: &str) -> String {
    let digest = KeyDigest::of(tenant, KeyKind::Identity, name);
    let hex: String = digest.id.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("import:{hex}")
}

fn take_text(members: &mut Map<String, Value>, name: &str) -> Result<Option<String>, &'static str> {
    match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err("a member that is a text is something else"),
    }
}

fn take_roles(members: &mut Map<String, Value>) -> Result<Vec<String>, &'static str> {
    const WRONG: &str = "its roles are no list of names";
    match members.remove("roles") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(names)) => {
            names.into_iter().map(|name| name.as_str().map(str::to_owned).ok_or(WRONG)).collect()
        }
        Some(_) => Err(WRONG),
    }
}

fn take_attributes(members: &mut Map<String, Value>) -> Result<Vec<(String, String)>, &'static str> {
    const WRONG: &str = "its attributes are no object of texts";
    match members.remove("attributes") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Object(attributes)) => attributes
            .into_iter()
            .map(|(name, text)| Ok((name, text.as_str().map(str::to_owned).ok_or(WRONG)?)))
            .collect(),
        Some(_) => Err(WRONG),
    }
}

/// The lines of a file that are not empty, with their numbers. A line that cannot be read ends them.
struct Lines {
    file: BufReader<File>,
    number: u64,
    is_over: bool,
}

/// A line; or what is wrong with it.
type Line = Result<String, &'static str>;

impl Lines {
    fn of(path: &Path) -> Result<Self, Failure> {
        let unreadable = |error| Failure::usage(format!("cannot read the file {}: {error}", path.display()));
        Ok(Self { file: BufReader::new(File::open(path).map_err(unreadable)?), number: 0, is_over: false })
    }

    fn read(&mut self) -> std::io::Result<Option<Line>> {
        let mut bytes = Vec::new();
        let read = (&mut self.file).take(MOST_BYTES + 1).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        if bytes.len() as u64 > MOST_BYTES {
            self.pass_over()?;
            return Ok(Some(Err("it is longer than 64 KiB")));
        }
        Ok(Some(String::from_utf8(bytes).map_err(|_| "it is not text")))
    }

    /// Reads on to the end of the line, and keeps nothing of it.
    fn pass_over(&mut self) -> std::io::Result<()> {
        loop {
            let mut rest = Vec::new();
            let read = (&mut self.file).take(MOST_BYTES).read_until(b'\n', &mut rest)?;
            if read == 0 || rest.ends_with(b"\n") {
                return Ok(());
            }
        }
    }
}

impl Iterator for Lines {
    type Item = (u64, Result<Line, Failure>);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.is_over {
            match self.read() {
                Ok(None) => self.is_over = true,
                Ok(Some(Ok(line))) if line.trim().is_empty() => {}
                Ok(Some(line)) => return Some((self.number, Ok(line))),
                Err(error) => {
                    self.is_over = true;
                    let what = format!("the file cannot be read beyond line {}: {error}", self.number);
                    return Some((self.number, Err(Failure::usage(what))));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demo() -> TenantId {
        TenantId::try_from("demo").expect("a valid name")
    }

    #[test]
    fn a_line_is_a_request_that_is_named_after_its_identity() {
        let line = r#"{"name":"carol","roles":["member"],"attributes":{"team":"red"},"password_hash":"$2b$05$x"}"#;
        let request = request_of(&demo(), line).expect("a line");
        assert_eq!(
            (&*request.name, &*request.password_hash, request.kind()),
            ("carol", "$2b$05$x", v1::IdentityKind::User)
        );
        assert_eq!((&request.roles[..], &*request.attributes["team"]), (&["member".to_owned()][..], "red"));
        let again = request_of(&demo(), r#"{"name":"carol"}"#).expect("a line");
        assert_eq!(again.request_id, request.request_id, "whatever else it says");
        assert_ne!(request_of(&demo(), r#"{"name":"dave"}"#).expect("a line").request_id, request.request_id);
        assert!(request.request_id.len() <= 64);
    }

    #[test]
    fn what_is_no_line_is_told_without_a_word_of_it() {
        for bad in [
            "",
            "$2b$05$secret",
            "[]",
            r#"{"password_hash":"$2b$05$secret"}"#,
            r#"{"name":"carol","pasword_hash":"$2b$05$secret"}"#,
            r#"{"name":"carol","roles":"$2b$05$secret"}"#,
            r#"{"name":"carol","attributes":{"a":1}}"#,
            r#"{"name":"carol","kind":"$2b$05$secret"}"#,
            r#"{"name":7}"#,
        ] {
            let why = request_of(&demo(), bad).expect_err(bad);
            assert!(!why.contains("secret"), "{why}");
        }
    }
}
