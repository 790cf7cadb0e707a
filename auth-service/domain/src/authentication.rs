//! How somebody proved who they are: what a login rested on, as its session remembers it and its access tokens say it
//! (`amr` and `auth_time` of RFC 9068, in the words of RFC 8176).
//!
//! Refuses to guess: where a back end or an external issuer says who it is, nobody proved it here, and nothing is said.

use portcullis_types::{InvalidName, Timestamp};

/// One way to prove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// A password.
    Password,
    /// A code of an authenticator app.
    Totp,
    /// A code on paper, for when the app is lost.
    RecoveryCode,
}

impl Method {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 3] = [Self::Password, Self::Totp, Self::RecoveryCode];

    /// Its name, in tokens and in rows. That of a recovery code is ours: RFC 8176 has none.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Password => "pwd",
            Self::Totp => "otp",
            Self::RecoveryCode => "recovery_code",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Password => 1,
            Self::Totp => 2,
            Self::RecoveryCode => 4,
        }
    }
}

/// Ways in which it was proved, each once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Methods(u8);

impl Methods {
    /// This and one more.
    #[must_use]
    pub const fn and(self, method: Method) -> Self {
        Self(self.0 | method.bit())
    }

    /// Each.
    pub fn iter(self) -> impl Iterator<Item = Method> {
        Method::ALL.into_iter().filter(move |method| self.0 & method.bit() != 0)
    }

    /// Their names, separated by spaces, as rows have them.
    pub fn words(self) -> String {
        self.iter().map(Method::name).collect::<Vec<_>>().join(" ")
    }

    /// As tokens say them: the names, and `mfa` where there is more than one.
    pub(crate) fn amr(self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.iter().map(Method::name).collect();
        if names.len() > 1 {
            names.push("mfa");
        }
        names
    }
}

impl From<Method> for Methods {
    fn from(method: Method) -> Self {
        Self(method.bit())
    }
}

impl TryFrom<&str> for Methods {
    type Error = InvalidName;

    fn try_from(words: &str) -> Result<Self, InvalidName> {
        let unknown = InvalidName { what: "way to log in", rule: "pwd, otp or recovery_code, separated by spaces" };
        let mut methods = Self(0);
        for word in words.split_ascii_whitespace() {
            let known = Method::ALL.into_iter().find(|method| method.name() == word);
            methods = methods.and(known.ok_or(unknown)?);
        }
        if methods.0 == 0 { Err(unknown) } else { Ok(methods) }
    }
}

/// That somebody proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// How.
    pub methods: Methods,
    /// When.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_read_back_from_their_words_and_more_than_one_is_multi_factor() {
        let password = Methods::from(Method::Password);
        for (methods, words, amr) in [
            (password, "pwd", &["pwd"][..]),
            (password.and(Method::Totp), "pwd otp", &["pwd", "otp", "mfa"]),
            (password.and(Method::RecoveryCode), "pwd recovery_code", &["pwd", "recovery_code", "mfa"]),
            (password.and(Method::Password), "pwd", &["pwd"]),
        ] {
            assert_eq!(methods.words(), words);
            assert_eq!(Methods::try_from(words), Ok(methods));
            assert_eq!(methods.amr(), amr);
        }
        for bad in ["", " ", "mfa", "pwd,otp", "PWD"] {
            assert!(Methods::try_from(bad).is_err(), "{bad}");
        }
    }
}
