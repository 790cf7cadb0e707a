//! Reading a list to its end, or to the most that was asked for.

use crate::failure::Failure;

/// The contract's largest page.
const PAGE: u32 = 1_000;

/// How much of a list.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct LimitArgs {
    /// Prints at most so many.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
}

/// What was read of a list.
#[derive(Debug)]
pub(crate) struct Listing<T> {
    /// In the order of the authority.
    pub(crate) items: Vec<T>,
    /// There is more.
    pub(crate) truncated: bool,
}

impl<T> Listing<T> {
    /// Said to people when there is more.
    pub(crate) fn note(&self) -> Option<String> {
        self.truncated.then(|| format!("There are more than these {}: raise --limit.", self.items.len()))
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
