//! What the authority promises, with a clock that stands still, whichever store it is on: each kind of store has a
//! program of its own that runs all of this, `sqlite.rs` and `postgres.rs`.

mod access_tokens;
mod api_keys;
mod at_rest;
mod attacks;
mod audit_removal;
mod audit_subjects;
mod callers;
mod certificates;
mod cookies;
mod costs;
pub(crate) mod data;
mod event_quota;
mod fuzz;
mod group_commit;
mod guard;
mod issuer_bounds;
mod issuers;
mod lease_classes;
mod login;
mod password_changes;
mod password_races;
mod passwords;
mod refresh;
mod restore;
mod retention;
mod revocation;
mod second_factor;
mod service_tokens;
mod signature_keys;
mod signing_keys;
mod sizes;
mod tickets;
mod unlinking;
mod verification;
mod waiting;
mod world;
