//! Where secrets come from: standard input, the environment, or a prompt that does not echo.
//!
//! Refuses more than a credential can have, and waits for no one when there is no terminal.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Read as _, Write as _};

use portcullis_types::Secret;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::failure::Failure;

/// No credential is longer; a stream that goes on is not one.
const MOST_BYTES: u64 = 16_384;

/// A password that exists already.
pub(crate) fn password(from_stdin: bool) -> Result<Secret, Failure> {
    if from_stdin {
        return from_standard_input("password");
    }
    match from_environment("PORTCULLIS_PASSWORD")? {
        Some(password) => Ok(password),
        None => prompt("Password: ", "give the password with --password-stdin or PORTCULLIS_PASSWORD"),
    }
}

/// A password that shall be: a person who types it types it twice.
pub(crate) fn new_password(from_stdin: bool) -> Result<Secret, Failure> {
    if from_stdin {
        return from_standard_input("password");
    }
    if let Some(password) = from_environment("PORTCULLIS_PASSWORD")? {
        return Ok(password);
    }
    let otherwise = "give the password with --password-stdin or PORTCULLIS_PASSWORD";
    let first = prompt("New password: ", otherwise)?;
    if first == prompt("Again: ", otherwise)? { Ok(first) } else { Err(Failure::usage("the two passwords differ")) }
}

/// A password in place of one that somebody else set, or of one's own.
pub(crate) fn replacing_password() -> Result<Secret, Failure> {
    if let Some(password) = from_environment("PORTCULLIS_NEW_PASSWORD")? {
        return Ok(password);
    }
    let otherwise = "give the new password in PORTCULLIS_NEW_PASSWORD";
    let first = prompt("New password: ", otherwise)?;
    if first == prompt("Again: ", otherwise)? { Ok(first) } else { Err(Failure::usage("the two passwords differ")) }
}

/// A code of an authenticator app, or a recovery code.
pub(crate) fn second_factor(question: &str) -> Result<Secret, Failure> {
    match from_environment("PORTCULLIS_SECOND_FACTOR")? {
        Some(code) => Ok(code),
        None => prompt(&format!("{question}: "), "give the code in PORTCULLIS_SECOND_FACTOR"),
    }
}

/// What this device is known by; empty where it is not.
pub(crate) fn device_token() -> Result<String, Failure> {
    let token = from_environment("PORTCULLIS_DEVICE_TOKEN")?;
    Ok(token.as_ref().and_then(Secret::expose_str).unwrap_or_default().to_owned())
}

/// A credential to look at or to spend.
pub(crate) fn credential(what: &str) -> Result<Secret, Failure> {
    if let Some(credential) = from_environment("PORTCULLIS_CREDENTIAL")? {
        return Ok(credential);
    }
    if io::stdin().is_terminal() {
        return prompt(&format!("{what}: "), "pipe it in, or set PORTCULLIS_CREDENTIAL");
    }
    from_standard_input(what)
}

/// All of standard input, without the line feed at its end.
pub(crate) fn from_standard_input(what: &str) -> Result<Secret, Failure> {
    let mut text = String::new();
    io::stdin()
        .lock()
        .take(MOST_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(format!("cannot read the {what} from standard input: {error}")))?;
    one_line(text).map_err(|wrong| Failure::usage(format!("standard input holds no {what}: {wrong}")))
}

/// A variable of the environment; an empty one counts as absent.
pub(crate) fn from_environment(name: &str) -> Result<Option<Secret>, Failure> {
    match std::env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => {
            one_line(value).map(Some).map_err(|wrong| Failure::usage(format!("{name} holds no secret: {wrong}")))
        }
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(Failure::usage(format!("{name} is not text"))),
    }
}

/// Overwrites a text that held a secret.
pub(crate) fn wipe(text: String) {
    drop(Secret::from(text));
}

fn one_line(text: String) -> Result<Secret, &'static str> {
    let line = text.strip_suffix('\n').map_or(&*text, |line| line.strip_suffix('\r').unwrap_or(line));
    let wrong = if line.is_empty() {
        Some("it is empty")
    } else if line.len() as u64 > MOST_BYTES {
        Some("it is longer than any credential")
    } else if line.contains('\n') {
        Some("it has more than one line")
    } else {
        None
    };
    let secret = Secret::from(line);
    wipe(text);
    wrong.map_or(Ok(secret), Err)
}

fn prompt(question: &str, otherwise: &str) -> Result<Secret, Failure> {
    let no_terminal = |_| Failure::usage(format!("there is no terminal to ask on: {otherwise}"));
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(no_terminal)?;
    let broken = |error: io::Error| Failure::usage(format!("cannot ask on the terminal ({error}): {otherwise}"));
    terminal.write_all(question.as_bytes()).map_err(broken)?;
    let silence = Silence::on(&terminal).map_err(broken)?;
    let mut line = String::new();
    let read = BufReader::new((&terminal).take(MOST_BYTES)).read_line(&mut line);
    drop(silence);
    terminal.write_all(b"\n").and(read).map_err(broken)?;
    one_line(line).map_err(|wrong| Failure::usage(format!("that cannot be used: {wrong}")))
}

/// A terminal that does not echo until this is dropped.
struct Silence<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silence<'a> {
    fn on(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        if tcsetattr(self.terminal, OptionalActions::Flush, &self.before).is_err() {
            eprintln!("the terminal's echo could not be restored: run `stty echo`");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_feed_at_the_end_is_not_part_of_a_secret() {
        for text in ["a b ", "a b \n", "a b \r\n"] {
            assert_eq!(one_line(text.to_owned()), Ok(Secret::from("a b ")));
        }
    }

    #[test]
    fn nothing_too_much_and_several_lines_are_refused() {
        for text in [String::new(), "\n".to_owned(), "a\nb\n".to_owned(), "x".repeat(16_385)] {
            assert!(one_line(text).is_err());
        }
    }
}
