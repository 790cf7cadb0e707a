//! What a store says of its connections, for those who watch over the process.

/// How one pool of connections is used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolUse {
    /// Which: a word of the store's own.
    pub pool: &'static str,
    /// In use.
    pub busy: usize,
    /// Open and not in use.
    pub idle: usize,
    /// How many it may have.
    pub most: usize,
    /// Who waits for one.
    pub waiting: usize,
}

/// A store over connections.
pub trait Connections {
    /// Each pool, always the same ones.
    fn connections(&self) -> Vec<PoolUse>;
}
