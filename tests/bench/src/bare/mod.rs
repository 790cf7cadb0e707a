//! The peers: servers that do the transport's work and nothing else, written as one would without Portcullis.

pub(crate) mod grpc;
pub(crate) mod sockets;
