//! Reading a list to its end, or to the most that was asked for, and showing it.

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::print::{Printer, Report};
use crate::reference::IdentityArgs;
use crate::table::View;

/// The contract's largest page.
const PAGE: u32 = 1_000;

/// How much of a list.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct LimitArgs {
    /// Prints at most so many.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
}

/// Which keys of an identity, of whatever kind.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyListArgs {
    #[command(flatten)]
    pub(crate) identity: IdentityArgs,
    /// Only those that are neither revoked nor over.
    #[arg(long)]
    pub(crate) active: bool,
    #[command(flatten)]
    pub(crate) limit: LimitArgs,
}

/// What was read of a list.
#[derive(Debug)]
pub(crate) struct Listing<T> {
    /// In the order of the authority.
    pub(crate) items: Vec<T>,
    /// There is more.
    pub(crate) truncated: bool,
}

/// How the items of a list are shown.
pub(crate) struct Shown<T> {
    /// What the list is called, for programs.
    pub(crate) name: &'static str,
    /// What stands above the columns, for people.
    pub(crate) columns: &'static [&'static str],
    /// What is said of an empty list.
    pub(crate) empty: &'static str,
    /// An item for people.
    pub(crate) row: fn(&T) -> Vec<String>,
    /// An item for programs.
    pub(crate) json: fn(&T) -> Value,
}

impl<T> Listing<T> {
    /// Prints it, and says so when there is more.
    pub(crate) fn report(&self, shown: &Shown<T>, printer: &Printer) -> Result<(), Failure> {
        let rows = self.items.iter().map(shown.row).collect();
        let items: Vec<Value> = self.items.iter().map(shown.json).collect();
        let view = View::Rows { columns: shown.columns, rows, empty: shown.empty };
        printer.report(&Report { json: json!({ shown.name: items, "truncated": self.truncated }), view })?;
        if self.truncated {
            printer.note(&format!("There are more than these {}: raise --limit.", self.items.len()));
        }
        Ok(())
    }
}

/// Asks for pages, by size and token, until the end or the limit.
pub(crate) async fn read<T>(
    limit: u32,
    mut page: impl AsyncFnMut(u32, String) -> Result<(Vec<T>, String), Failure>,
) -> Result<Listing<T>, Failure> {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut items = Vec::new();
    let mut token = String::new();
    loop {
        let (more, next) = page(limit.min(PAGE), std::mem::take(&mut token)).await?;
        items.extend(more);
        if next.is_empty() || items.len() >= most {
            let truncated = items.len() > most || !next.is_empty();
            items.truncate(most);
            return Ok(Listing { items, truncated });
        }
        token = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn three_pages(limit: u32) -> Listing<u32> {
        read(limit, async |_, token: String| {
            Ok(match token.as_str() {
                "" => (vec![1, 2], "a".to_owned()),
                "a" => (vec![3, 4], "b".to_owned()),
                _ => (vec![5], String::new()),
            })
        })
        .await
        .expect("no page fails")
    }

    #[tokio::test]
    async fn a_list_is_read_to_its_end() {
        let all = three_pages(100).await;
        assert_eq!((all.items, all.truncated), (vec![1, 2, 3, 4, 5], false));
    }

    #[tokio::test]
    async fn a_limit_cuts_and_says_so() {
        for (limit, expected) in [(1, vec![1]), (3, vec![1, 2, 3]), (4, vec![1, 2, 3, 4])] {
            let some = three_pages(limit).await;
            assert_eq!((some.items, some.truncated), (expected, true), "{limit}");
        }
        assert!(!three_pages(5).await.truncated);
    }
}
