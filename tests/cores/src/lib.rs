//! Tests only: `tests/cores`.
#![forbid(unsafe_code)]
