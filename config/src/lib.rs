//! How both programs read their configuration: one TOML file, then the environment over it.
//!
//! Owns the layers, what is said when they cannot be read, and what both mean by the proxies in front of them.
//! Refuses to repeat a value: it may be a secret in the wrong place.

mod misread;
mod trusted_proxies;

use std::path::Path;

use figment::Figment;
use figment::providers::{Env, Format as _, Toml};

pub use misread::Misread;
pub use trusted_proxies::TrustedProxies;

/// The file, if one is named, and over it the variables that begin with `prefix`, `__` between levels.
pub fn layers(file: Option<&Path>, prefix: &str) -> Figment {
    let file = file.map_or_else(Figment::new, |file| Figment::from(Toml::file_exact(file)));
    file.merge(Env::prefixed(prefix).split("__"))
}
