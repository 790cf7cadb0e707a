//! Passwords: their rule, their hash, and the port to whoever has the memory to compute it.
//!
//! Owns the hashes as pure functions. The bounded pool on which they run is the binary's: one evaluation takes tens of
//! milliseconds and megabytes, and must not run where requests are served.

mod hashes;
mod policy;

use async_trait::async_trait;
use portcullis_types::{CredentialId, Secret, Timestamp};

pub use self::hashes::{Argon2id, ForeignLimits, PasswordHashes, UnfitHash};
pub use self::policy::{InvalidPassword, LONGEST_PASSWORD, PasswordPolicy};

use crate::Authority;

/// A password as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPassword {
    /// Another one at each change, so that a login can tell whether the password it checked is still the one.
    pub id: CredentialId,
    /// The hash in PHC form, or as it was imported; parameters and salt included.
    pub phc: String,
    /// When it was set.
    pub set_at: Timestamp,
    /// Whether somebody else set it, so that the next login must replace it.
    pub must_change: bool,
}

/// Why nothing was hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Too many are waiting; trying again later is safe.
    #[error("too many passwords are being checked")]
    Overloaded,
    /// The process ends, and this one had not begun.
    #[error("this authority is shutting down")]
    Leaving,
    /// It cannot be computed: wrong parameters, no memory.
    #[error("a password could not be hashed")]
    Failed,
}

/// In which queue a check waits. A flood in one neither takes the places of the others nor stands before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HashQueue {
    /// Of those who come from a known place, or show what they were given at a login.
    Known,
    /// Of those who come as strangers, and may guess.
    Unknown,
    /// Of those who must wait and are refused whatever they guessed: the evaluation is what makes all refusals alike.
    Refused,
}

/// Computes password hashes on threads and memory of its own, a bounded number at a time.
#[async_trait]
pub trait PasswordHasher: std::fmt::Debug + Send + Sync {
    /// The hash in PHC form, with a new salt.
    async fn hash(&self, password: Secret) -> Result<String, HashError>;
    /// Whether the password has this hash. One evaluation whatever the answer.
    async fn verify(&self, queue: HashQueue, password: Secret, phc: String) -> Result<bool, HashError>;
    /// Whether a hash was made with the parameters that new ones are made with.
    fn is_current(&self, phc: &str) -> bool;
    /// Whether a hash that was made elsewhere can be verified here, at a cost that is bounded.
    fn check_foreign(&self, hash: &str) -> Result<(), UnfitHash>;
}

impl Authority {
    pub(crate) async fn new_password(&self, password: Secret) -> Result<StoredPassword, HashError> {
        let phc = self.passwords().hash(password).await?;
        Ok(self.stored_password(phc))
    }

    pub(crate) fn stored_password(&self, phc: String) -> StoredPassword {
        StoredPassword { id: CredentialId::new(self.ids()), phc, set_at: self.now(), must_change: false }
    }
}
