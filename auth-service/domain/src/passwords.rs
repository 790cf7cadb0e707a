//! Passwords: their rule, their hash, and the port to whoever has the memory to compute it.
//!
//! Owns argon2id as pure functions. The bounded pool on which they run is the binary's: one evaluation takes tens of
//! milliseconds and megabytes, and must not run where requests are served.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use async_trait::async_trait;
use portcullis_types::{CredentialId, Entropy, Secret, Timestamp};

use crate::Authority;

/// A password as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPassword {
    /// Another one at each change, so that a login can tell whether the password it checked is still the one.
    pub id: CredentialId,
    /// The hash in PHC form, parameters and salt included.
    pub phc: String,
    /// When it was set.
    pub set_at: Timestamp,
}

/// Not a password by its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a password has 8 to 256 bytes")]
pub struct InvalidPassword;

/// Why nothing was hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Too many are waiting; trying again later is safe.
    #[error("too many passwords are being checked")]
    Overloaded,
    /// It cannot be computed: wrong parameters, no memory.
    #[error("a password could not be hashed")]
    Failed,
}

/// Computes password hashes on threads and memory of its own, a bounded number at a time.
#[async_trait]
pub trait PasswordHasher: std::fmt::Debug + Send + Sync {
    /// The hash in PHC form, with a new salt.
    async fn hash(&self, password: Secret) -> Result<String, HashError>;
    /// Whether the password has this hash. One evaluation whatever the answer.
    async fn verify(&self, password: Secret, phc: String) -> Result<bool, HashError>;
    /// Whether a hash was made with the parameters that new ones are made with.
    fn is_current(&self, phc: &str) -> bool;
}

/// Argon2id (RFC 9106) with its parameters.
#[derive(Clone, Debug)]
pub struct Argon2id(Argon2<'static>);

impl Argon2id {
    /// Fails on parameters that the algorithm does not have.
    pub fn new(memory_kib: u32, iterations: u32, parallelism: u32) -> Result<Self, HashError> {
        let params = Params::new(memory_kib, iterations, parallelism, None).map_err(|_| HashError::Failed)?;
        Ok(Self(Argon2::new(Algorithm::Argon2id, Version::V0x13, params)))
    }

    /// The hash in PHC form.
    pub fn hash(&self, password: &Secret, entropy: &dyn Entropy) -> Result<String, HashError> {
        let salt: [u8; 16] = entropy.array();
        let hash: PasswordHash =
            self.0.hash_password_with_salt(password.expose_bytes(), &salt).map_err(|_| HashError::Failed)?;
        Ok(hash.to_string())
    }

    /// Whether the password has this hash, by the parameters in the hash.
    pub fn verify(&self, password: &Secret, phc: &str) -> Result<bool, HashError> {
        let hash = PasswordHash::new(phc).map_err(|_| HashError::Failed)?;
        match self.0.verify_password(password.expose_bytes(), &hash) {
            Ok(()) => Ok(true),
            Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
            Err(_) => Err(HashError::Failed),
        }
    }

    /// Whether a hash was made with these parameters.
    pub fn is_current(&self, phc: &str) -> bool {
        let costs = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
        let made_with = PasswordHash::new(phc).ok().and_then(|hash| Params::try_from(&hash).ok());
        made_with.is_some_and(|made_with| costs(&made_with) == costs(self.0.params()))
    }
}

/// The rule for new passwords.
pub(crate) fn check_password(password: &Secret) -> Result<(), InvalidPassword> {
    if (8..=256).contains(&password.len()) { Ok(()) } else { Err(InvalidPassword) }
}

impl Authority {
    pub(crate) async fn new_password(&self, password: Secret) -> Result<StoredPassword, HashError> {
        let phc = self.passwords().hash(password).await?;
        Ok(StoredPassword { id: CredentialId::new(self.ids()), phc, set_at: self.now() })
    }
}

#[cfg(test)]
mod tests {
    use portcullis_types::SeededEntropy;

    use super::*;

    #[test]
    fn a_hash_knows_its_password_and_no_other() {
        let argon = Argon2id::new(8, 1, 1).expect("the smallest parameters");
        let phc = argon.hash(&Secret::from("correct horse"), &SeededEntropy::new(1)).expect("hashes");
        assert!(phc.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{phc}");
        assert!(argon.verify(&Secret::from("correct horse"), &phc).expect("a hash"));
        assert!(!argon.verify(&Secret::from("battery staple"), &phc).expect("a hash"));
        assert!(argon.verify(&Secret::from("x"), "$argon2id$").is_err());
        assert!(argon.is_current(&phc));
        for (memory, iterations, parallelism) in [(16, 1, 1), (8, 2, 1), (16, 1, 2)] {
            let other = Argon2id::new(memory, iterations, parallelism).expect("small parameters");
            assert!(!other.is_current(&phc), "m={memory} t={iterations} p={parallelism}");
        }
    }

    #[test]
    fn a_password_has_a_length() {
        for (length, fits) in [(7, false), (8, true), (256, true), (257, false)] {
            assert_eq!(check_password(&Secret::new(vec![b'x'; length])).is_ok(), fits, "{length}");
        }
    }
}
