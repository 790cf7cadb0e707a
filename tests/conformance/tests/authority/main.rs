//! The authority's rules, on SQLite, with a clock that stands still.

mod access_tokens;
mod api_keys;
mod at_rest;
mod attacks;
mod callers;
mod cookies;
mod fuzz;
mod guard;
mod issuer_bounds;
mod issuers;
mod lease_classes;
mod login;
mod password_changes;
mod passwords;
mod refresh;
mod restore;
mod retention;
mod revocation;
mod second_factor;
mod service_tokens;
mod signing_keys;
mod sizes;
mod tickets;
mod verification;
mod waiting;
mod world;
