//! What a user of the whole product sees, with the real programs.

mod answers;
mod api_keys;
mod audit;
mod certificates;
mod clients;
mod durability;
mod fence;
mod fork;
mod freeze;
mod house;
mod issuers;
mod lease_classes;
mod paced;
mod page;
mod postgres;
mod receipts;
mod replicas;
mod retention;
mod revocation;
mod sdk;
mod secrets;
mod signing_keys;
mod starting_and_stopping;
mod tls;
mod traces;
mod upkeep;
