//! The hashes that are made here, and those that are only verified.
//!
//! Guarantees: what is verified though it was made elsewhere costs no more than its limits say, whatever its parameters
//! claim; both are judged before anything is computed.

use argon2::password_hash::PasswordHasher as _;
use argon2::password_hash::PasswordVerifier as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, Version};
use portcullis_types::{Entropy, Secret};
use scrypt::Scrypt;

use super::HashError;

/// An imported hash is at least so long; a shorter one would be met by chance.
const SHORTEST_OUTPUT: usize = 16;
/// How many times the memory limit one evaluation may go through.
const MOST_PASSES: u64 = 16;
/// The highest `ln`, `r` and `p` of scrypt; what is used has up to 20, 8 and 1. They are looked at before the library does, which
/// multiplies them in 32 bits, and bound what comes beside the memory: a buffer of 128 · r · p bytes, here 128 KiB.
const MOST_SCRYPT: [(&str, u32); 3] = [("ln", 31), ("r", 64), ("p", 16)];

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

    /// Whether a hash is no weaker than one that is made with these parameters: argon2id of the same version, with as much
    /// memory and as much of it gone through in all. Lanes are no measure: they share the memory and the passes.
    pub fn is_current(&self, phc: &str) -> bool {
        let costs = |params: &Params| {
            let memory = u64::from(params.m_cost());
            (memory, memory * u64::from(params.t_cost()))
        };
        let (memory, passes) = costs(self.0.params());
        let is_no_weaker = |made_with: Params| costs(&made_with).0 >= memory && costs(&made_with).1 >= passes;
        let Ok(hash) = PasswordHash::new(phc) else { return false };
        hash.algorithm == Algorithm::Argon2id.ident()
            && hash.version == Some(Version::V0x13.into())
            && Params::try_from(&hash).is_ok_and(is_no_weaker)
    }
}

/// What one evaluation of a hash that was made elsewhere may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignLimits {
    /// Its memory, in KiB (argon2, scrypt).
    pub memory_kib: u32,
    /// Its cost (bcrypt): each one more doubles the time.
    pub bcrypt_cost: u32,
}

/// Why a hash cannot be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnfitHash {
    /// None of the forms that are known.
    #[error(
        "a hash is `$argon2id$`, `$argon2i$`, `$argon2d$`, `$scrypt$` (PHC) or `$2a$`, `$2b$`, `$2x$`, `$2y$` (bcrypt)"
    )]
    Unknown,
    /// Of a known form, and broken.
    #[error("the hash has the form of a known one and cannot be read")]
    Broken,
    /// Longer to compute than is allowed.
    #[error("the hash would take more memory or time than the configuration allows")]
    TooCostly,
}

/// Makes argon2id, and verifies what else people bring.
#[derive(Clone, Debug)]
pub struct PasswordHashes {
    argon: Argon2id,
    limits: ForeignLimits,
}

impl PasswordHashes {
    /// With these parameters for new ones, which are within the limits of old ones too.
    pub fn new(argon: Argon2id, limits: ForeignLimits) -> Self {
        let memory_kib = limits.memory_kib.max(argon.0.params().m_cost());
        Self { argon, limits: ForeignLimits { memory_kib, ..limits } }
    }

    /// The hash in PHC form.
    pub fn hash(&self, password: &Secret, entropy: &dyn Entropy) -> Result<String, HashError> {
        self.argon.hash(password, entropy)
    }

    /// Whether a hash was made with the parameters of new ones.
    pub fn is_current(&self, stored: &str) -> bool {
        self.argon.is_current(stored)
    }

    /// Whether the password has this hash, by the parameters in the hash.
    pub fn verify(&self, password: &Secret, stored: &str) -> Result<bool, HashError> {
        let form = self.read(stored).map_err(|_| HashError::Failed)?;
        let verified = match form {
            Form::Argon2(hash) => self.argon.0.verify_password(password.expose_bytes(), &hash),
            Form::Scrypt(hash) => Scrypt::new().verify_password(password.expose_bytes(), &hash),
            Form::Bcrypt => {
                return bcrypt::verify(password.expose_bytes(), stored).map_err(|_| HashError::Failed);
            }
        };
        match verified {
            Ok(()) => Ok(true),
            Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
            Err(_) => Err(HashError::Failed),
        }
    }

    /// Whether a hash can be verified, within the limits.
    pub fn check(&self, stored: &str) -> Result<(), UnfitHash> {
        self.read(stored).map(drop)
    }

    fn read(&self, stored: &str) -> Result<Form, UnfitHash> {
        let scheme = stored.strip_prefix('$').and_then(|rest| rest.split('$').next()).ok_or(UnfitHash::Unknown)?;
        match scheme {
            "argon2id" | "argon2i" | "argon2d" => self.read_argon2(stored).map(versioned).map(Form::Argon2),
            "scrypt" => self.read_scrypt(stored).map(Form::Scrypt),
            "2a" | "2b" | "2x" | "2y" => self.read_bcrypt(stored).map(|()| Form::Bcrypt),
            _ => Err(UnfitHash::Unknown),
        }
    }

    fn read_argon2(&self, stored: &str) -> Result<PasswordHash, UnfitHash> {
        let hash = read_phc(stored)?;
        if hash.version.is_some_and(|version| Version::try_from(version).is_err()) {
            return Err(UnfitHash::Broken);
        }
        let params = Params::try_from(&hash).map_err(|_| UnfitHash::Broken)?;
        // It has at least eight blocks for each lane, and is rounded down to whole segments: no lane adds memory.
        let memory = u64::from(params.m_cost()) << 10;
        self.within(memory, memory.saturating_mul(u64::from(params.t_cost()))).map(|()| hash)
    }

    fn read_scrypt(&self, stored: &str) -> Result<PasswordHash, UnfitHash> {
        let hash = read_phc(stored)?;
        let is_beyond = |name: &str, value: u32| MOST_SCRYPT.iter().any(|(of, most)| name == *of && value > *most);
        if hash.params.iter().any(|(name, value)| value.decimal().is_ok_and(|value| is_beyond(name.as_str(), value))) {
            return Err(UnfitHash::TooCostly);
        }
        let params = scrypt::Params::try_from(&hash).map_err(|_| UnfitHash::Broken)?;
        if params.log_n() == 0 {
            return Err(UnfitHash::Broken);
        }
        // N blocks of 128 · r bytes, gone through twice for each p. No product comes near the end of the type: 2^31
        // blocks of 2^13 bytes, 2^5 times.
        let memory = 128 * u64::from(params.r()) * params.n();
        self.within(memory, memory * 2 * u64::from(params.p())).map(|()| hash)
    }

    fn read_bcrypt(&self, stored: &str) -> Result<(), UnfitHash> {
        let parts: bcrypt::HashParts = stored.parse().map_err(|_| UnfitHash::Broken)?;
        if !(4..=31).contains(&parts.get_cost()) {
            return Err(UnfitHash::Broken);
        }
        if parts.get_cost() <= self.limits.bcrypt_cost { Ok(()) } else { Err(UnfitHash::TooCostly) }
    }

    /// Whether so many bytes of memory, gone through so many bytes in all, are within the limits.
    fn within(&self, memory: u64, passes: u64) -> Result<(), UnfitHash> {
        let most = u64::from(self.limits.memory_kib) << 10;
        if memory <= most && passes <= most * MOST_PASSES { Ok(()) } else { Err(UnfitHash::TooCostly) }
    }
}

/// A hash that was read, within the limits.
enum Form {
    Argon2(PasswordHash),
    Scrypt(PasswordHash),
    Bcrypt,
}

/// Of argon2: a hash that names no version is of the first one, as the reference implementation reads it.
fn versioned(hash: PasswordHash) -> PasswordHash {
    PasswordHash { version: hash.version.or(Some(Version::V0x10.into())), ..hash }
}

fn read_phc(stored: &str) -> Result<PasswordHash, UnfitHash> {
    let hash = PasswordHash::new(stored).map_err(|_| UnfitHash::Broken)?;
    let long = hash.hash.as_ref().is_some_and(|output| output.len() >= SHORTEST_OUTPUT);
    if long && hash.salt.is_some() { Ok(hash) } else { Err(UnfitHash::Broken) }
}

#[cfg(test)]
mod tests {
    use portcullis_types::SeededEntropy;

    use super::*;

    const LIMITS: ForeignLimits = ForeignLimits { memory_kib: 65_536, bcrypt_cost: 12 };

    fn argon() -> Argon2id {
        Argon2id::new(8, 1, 1).expect("the smallest parameters")
    }

    fn hashes() -> PasswordHashes {
        PasswordHashes::new(argon(), LIMITS)
    }

    #[test]
    fn a_hash_knows_its_password_and_no_other() {
        let hashes = hashes();
        let phc = hashes.hash(&Secret::from("correct horse"), &SeededEntropy::new(1)).expect("hashes");
        assert!(phc.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{phc}");
        assert!(hashes.verify(&Secret::from("correct horse"), &phc).expect("a hash"));
        assert!(!hashes.verify(&Secret::from("battery staple"), &phc).expect("a hash"));
        assert!(hashes.verify(&Secret::from("x"), "$argon2id$").is_err());
        assert!(hashes.is_current(&phc) && !hashes.is_current(&phc.replace("argon2id", "argon2i")));
    }

    #[test]
    fn a_hash_is_replaced_only_where_the_next_is_stronger() {
        let new = Argon2id::new(16, 2, 1).expect("small parameters");
        for (memory, iterations, lanes, version, is_kept) in [
            (16, 2, 1, "v=19$", true),
            (16, 2, 2, "v=19$", true),
            (64, 3, 4, "v=19$", true),
            (32, 1, 1, "v=19$", true),
            (24, 1, 1, "v=19$", false),
            (16, 1, 1, "v=19$", false),
            (8, 100, 1, "v=19$", false),
            (64, 3, 1, "v=16$", false),
            (64, 3, 1, "", false),
        ] {
            let output = "c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8";
            let phc = format!("$argon2id${version}m={memory},t={iterations},p={lanes}${output}");
            assert_eq!(new.is_current(&phc), is_kept, "{phc}");
            assert!(!new.is_current(&phc.replace("argon2id", "argon2d")));
        }
    }

    /// From the reference implementation's own tests of its first version, whose hashes name none.
    #[test]
    fn a_hash_without_a_version_is_of_the_first_one() {
        let argon = Argon2::new(Algorithm::Argon2i, Version::V0x10, Params::new(64, 2, 1, None).expect("small"));
        let made: PasswordHash = argon.hash_password_with_salt(b"password", b"somesalt").expect("hashes");
        let phc = made.to_string().replace("$v=16", "");
        assert!(!phc.contains("v="), "{phc}");
        assert_eq!(hashes().check(&phc), Ok(()));
        assert!(hashes().verify(&Secret::from("password"), &phc).expect("a hash"));
        assert!(!hashes().verify(&Secret::from("not it"), &phc).expect("a hash"));
        let known = "$argon2i$m=256,t=2,p=1$c29tZXNhbHQ$/U3YPXYsSb3q9XxHvc0MLxur+GP960kN9j7emXX8zwY";
        assert!(hashes().verify(&Secret::from("password"), known).expect("a hash"), "made by another program");
    }

    /// Hashes that other programs made: argon2-cffi, passlib, PHP and htpasswd.
    #[test]
    fn what_other_programs_hashed_is_verified() {
        for (stored, password) in [
            ("$scrypt$ln=14,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$ZPrE/SFfBUXlKVYpJj2pgsZqTRKeVH7QVBkv5RrxHOY", None),
            (
                "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
                Some("password"),
            ),
            ("$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy", None),
            ("$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", Some("U*U")),
            ("$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8", Some("password")),
        ] {
            assert_eq!(hashes().check(stored), Ok(()), "{stored}");
            assert!(!hashes().verify(&Secret::from("not it"), stored).expect("a hash"), "{stored}");
            if let Some(password) = password {
                assert!(hashes().verify(&Secret::from(password), stored).expect("a hash"), "{stored}");
            }
            assert!(!hashes().is_current(stored));
        }
    }

    #[test]
    fn a_hash_that_would_cost_too_much_is_never_computed() {
        let salted = |head: &str| format!("{head}$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8");
        for bomb in [
            salted("$argon2id$v=19$m=65537,t=1,p=1"),
            salted("$argon2id$v=19$m=4194304,t=4,p=1"),
            salted("$argon2id$v=19$m=65536,t=17,p=1"),
            salted("$argon2id$v=19$m=8,t=4294967295,p=1"),
            salted("$argon2id$v=19$m=65544,t=1,p=8193"),
            salted("$argon2i$m=4294967295,t=4294967295,p=16777215"),
            // Memory that rounds down to nothing, gone through without end; and a buffer that nobody counted.
            salted("$scrypt$ln=1,r=1,p=1073741823"),
            salted("$scrypt$ln=1,r=1,p=17"),
            salted("$scrypt$ln=1,r=65,p=1"),
            salted("$scrypt$ln=1,r=1073741823,p=1"),
            // Whose product is none, in 32 bits.
            salted("$scrypt$ln=1,r=65536,p=65536"),
            salted("$scrypt$ln=1,p=1,r=1,p=4294967295"),
            salted("$scrypt$ln=32,r=1,p=1"),
            salted("$scrypt$ln=63,r=1,p=1"),
            salted("$scrypt$ln=17,r=8,p=1"),
            salted("$scrypt$ln=16,r=8,p=9"),
            salted("$scrypt$ln=31,r=1,p=1"),
            salted("$scrypt$ln=40,r=1,p=1"),
            "$2b$13$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy".to_owned(),
            "$2b$31$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy".to_owned(),
        ] {
            assert_eq!(hashes().check(&bomb), Err(UnfitHash::TooCostly), "{bomb}");
            assert!(hashes().verify(&Secret::from("x"), &bomb).is_err(), "{bomb}");
        }
    }

    /// The limits are those of the bytes: what just fits is taken, and what needs one block more is not.
    #[test]
    fn what_a_hash_needs_is_counted_to_the_byte() {
        let salted = |head: &str| format!("{head}$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8");
        let hashes = |memory_kib| PasswordHashes::new(argon(), ForeignLimits { memory_kib, ..LIMITS });
        // 16 KiB.
        assert_eq!(hashes(16).check(&salted("$scrypt$ln=4,r=8,p=1")), Ok(()));
        assert_eq!(hashes(15).check(&salted("$scrypt$ln=4,r=8,p=1")), Err(UnfitHash::TooCostly));
        // 16.125 KiB, which are not 16; and 256 bytes, which are not nothing.
        assert_eq!(hashes(16).check(&salted("$scrypt$ln=1,r=64,p=8")), Ok(()));
        assert_eq!(hashes(16).check(&salted("$scrypt$ln=1,r=64,p=9")), Err(UnfitHash::TooCostly));
        assert_eq!(hashes(32).check(&salted("$scrypt$ln=4,r=9,p=14")), Ok(()));
        assert_eq!(hashes(32).check(&salted("$scrypt$ln=4,r=9,p=15")), Err(UnfitHash::TooCostly));
        assert_eq!(hashes(32).check(&salted("$argon2id$v=19$m=32,t=16,p=4")), Ok(()));
        assert_eq!(hashes(32).check(&salted("$argon2id$v=19$m=32,t=17,p=4")), Err(UnfitHash::TooCostly));
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        for (text, why) in [
            ("", UnfitHash::Unknown),
            ("hunter22", UnfitHash::Unknown),
            ("$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/", UnfitHash::Unknown),
            ("$2b$10$short", UnfitHash::Broken),
            ("$2b$99$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy", UnfitHash::Broken),
            (
                "$scrypt$ln=0,r=0,p=0$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
                UnfitHash::Broken,
            ),
            (
                "$scrypt$ln=0,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
                UnfitHash::Broken,
            ),
            ("$scrypt$ln=14,r=8,p=1$c29tZQ$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E", UnfitHash::Broken),
            // A version that there is not: found out here, and not at a login.
            ("$argon2id$v=18$m=64,t=1,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8", UnfitHash::Broken),
            ("$argon2id$v=19$m=64,t=1,p=9$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8", UnfitHash::Broken),
            // Four bytes of output.
            ("$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$iekCnw", UnfitHash::Broken),
            ("$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ", UnfitHash::Broken),
        ] {
            assert_eq!(hashes().check(text), Err(why), "{text}");
        }
    }

    #[test]
    fn the_limits_never_refuse_what_is_made_here() {
        let hashes =
            PasswordHashes::new(Argon2id::new(64, 1, 1).expect("small"), ForeignLimits { memory_kib: 8, ..LIMITS });
        let phc = hashes.hash(&Secret::from("correct horse"), &SeededEntropy::new(1)).expect("hashes");
        assert_eq!(hashes.check(&phc), Ok(()));
    }
}
