//! The rule for new passwords, after NIST SP 800-63B: a length, and no word that everybody tries first.
//!
//! Refuses rules of composition ("a digit and a sign"): they make people choose worse ones. A password is compared byte
//! for byte; what is counted are its characters.

use portcullis_types::{IdentityName, Secret};

/// No password is longer, in bytes: hashing must not become work for the asking.
pub const LONGEST_PASSWORD: usize = 256;

/// What is left of a password without its owner's name has at least so many characters.
const BESIDE_NAME: usize = 4;

/// The most common passwords of eight characters and more, one a line, in lower case.
const COMMON: &str = include_str!("common.txt");

/// What new passwords must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// How many characters it has at least.
    pub shortest: usize,
    /// Whether the most common ones are refused.
    pub deny_common: bool,
    /// Whether the identity's own name, or little more than it, is refused.
    pub deny_name: bool,
}

/// Not a password that may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    /// Too short or too long.
    #[error("a password has at least {shortest} characters, and at most {LONGEST_PASSWORD} bytes")]
    Length {
        /// How many characters it has at least.
        shortest: usize,
    },
    /// One of those that are tried first.
    #[error("this password is one of the most common ones, which are tried first")]
    Common,
    /// Its owner's name.
    #[error("a password is not the name of its owner, nor little more than that")]
    Name,
    /// The one before.
    #[error("a new password differs from the one before")]
    Unchanged,
}

impl PasswordPolicy {
    /// Whether the identity of this name may have this password.
    pub fn check(&self, password: &Secret, name: &IdentityName) -> Result<(), InvalidPassword> {
        let length = InvalidPassword::Length { shortest: self.shortest };
        // Bytes that are not text are counted as they are.
        let characters = password.expose_str().map_or(password.len(), |text| text.chars().count());
        if characters < self.shortest || password.len() > LONGEST_PASSWORD {
            return Err(length);
        }
        let Some(text) = password.expose_str() else { return Ok(()) };
        let text = Secret::from(text.to_lowercase());
        let text = text.expose_str().unwrap_or_default();
        if self.deny_common && COMMON.lines().any(|common| common == text) {
            return Err(InvalidPassword::Common);
        }
        if self.deny_name && is_name(text, &name.as_str().to_lowercase()) {
            return Err(InvalidPassword::Name);
        }
        Ok(())
    }
}

/// Whether little is left of a text without a name; of an address the part before the `@` counts too.
fn is_name(text: &str, name: &str) -> bool {
    let local = name.split('@').next().unwrap_or(name);
    [name, local].into_iter().filter(|part| !part.is_empty()).any(|part| {
        let found = text.matches(part).count();
        found > 0 && text.chars().count() - found * part.chars().count() < BESIDE_NAME
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: PasswordPolicy = PasswordPolicy { shortest: 8, deny_common: true, deny_name: true };

    fn check(password: &str) -> Result<(), InvalidPassword> {
        let name = IdentityName::try_from("Alice.Liddell@example.com").expect("a valid name");
        POLICY.check(&Secret::from(password), &name)
    }

    #[test]
    fn a_password_has_a_length_in_characters_and_a_cap_in_bytes() {
        let refused = Err(InvalidPassword::Length { shortest: 8 });
        for (password, expected) in [
            ("qzxwvrt".to_owned(), refused),
            ("qzxwvrtk".to_owned(), Ok(())),
            // Seven characters of many bytes are seven.
            ("é".repeat(7), refused),
            ("é".repeat(8), Ok(())),
            ("y".repeat(256), Ok(())),
            ("y".repeat(257), refused),
        ] {
            assert_eq!(check(&password), expected, "{password}");
        }
    }

    #[test]
    fn no_composition_is_asked_for() {
        for password in ["correct horse battery staple", "        x", "zkqjzkqjxv", "пароль для входа"] {
            assert_eq!(check(password), Ok(()), "{password}");
        }
    }

    #[test]
    fn the_most_common_ones_are_refused_in_any_case() {
        for password in ["password", "PassWord1", "12345678", "qwertyuiop", "iloveyou"] {
            assert_eq!(check(password), Err(InvalidPassword::Common), "{password}");
        }
        let lax = PasswordPolicy { deny_common: false, ..POLICY };
        let name = IdentityName::try_from("alice").expect("a valid name");
        assert_eq!(lax.check(&Secret::from("password"), &name), Ok(()));
    }

    #[test]
    fn the_owners_name_is_no_password() {
        for password in ["alice.liddell@example.com", "Alice.Liddell", "alice.liddell123", "1!ALICE.LIDDELL"] {
            assert_eq!(check(password), Err(InvalidPassword::Name), "{password}");
        }
        assert_eq!(check("alice.liddell and the rabbit"), Ok(()));
    }

    #[test]
    fn the_list_can_be_compared_with() {
        for line in COMMON.lines() {
            assert!(line.chars().count() >= 8 && line == line.to_lowercase() && !line.contains(' '), "{line}");
        }
        assert!(COMMON.lines().count() >= 200);
    }
}
