//! Tickets that are counted.

use auth_domain::StoreError;
use portcullis_types::Timestamp;

use super::{Cells, Columns};

/// When the next of so many is over, where there are so many.
pub(crate) fn next_end(row: &impl Cells, most: u32) -> Result<Option<Timestamp>, StoreError> {
    let columns = Columns(row);
    if columns.seq("found")? < u64::from(most) { Ok(None) } else { columns.maybe_at("next_end") }
}
