//! The authority's rules, on SQLite, with a clock that stands still.

mod access_tokens;
mod api_keys;
mod at_rest;
mod callers;
mod lease_classes;
mod login;
mod passwords;
mod refresh;
mod restore;
mod revocation;
mod signing_keys;
mod sizes;
mod tickets;
mod verification;
mod waiting;
mod world;
