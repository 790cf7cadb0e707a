//! The whole service in this process, on port 0, over its real transports and its real store.

mod asking;
mod attacks;
mod audit;
mod calling;
mod certificates;
mod devices;
mod doctor;
mod edge;
mod forgeries;
mod gate;
mod guard;
mod held_rows;
mod job;
mod lifecycle;
mod limits;
mod linking;
mod logins;
mod openapi;
mod page_tokens;
mod pages;
mod quota;
mod signature_keys;
mod tenant_deletion;
mod upkeep;
mod watches;
mod world;
