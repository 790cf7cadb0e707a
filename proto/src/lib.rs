//! The contract of Portcullis as Rust types, generated from `proto/portcullis/*/v1/*.proto`.
//!
//! Owns: the messages, the encoded descriptors (for gRPC reflection), and the conversions of the contract's
//! [`Revision`](auth::v1::Revision), [`Key`](auth::v1::Key), [`LeaseClass`](auth::v1::LeaseClass) and
//! [`LeaseTerms`](auth::v1::LeaseTerms) to the types of `portcullis-types`.
//! Clients and servers exist only with the feature `transport`, which domain and core crates never enable.

mod convert;
mod lease;

pub use convert::InvalidWire;

/// The authority.
pub mod auth {
    /// Version 1.
    #[expect(clippy::all, reason = "generated; the documentation is in the .proto files")]
    #[cfg_attr(
        feature = "transport",
        expect(clippy::allow_attributes, clippy::allow_attributes_without_reason, reason = "generated")
    )]
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/portcullis.auth.v1.rs"));
    }
}

/// The contract's descriptors, encoded as a `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
