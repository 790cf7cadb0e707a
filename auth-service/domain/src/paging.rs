//! Long lists, one page at a time.
//!
//! A page's token says where the next one begins, and is bound to the question it answers: a token of another list is
//! refused and never silently read as a position in this one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::StoreError;

/// The most items on one page.
pub const MAX_PAGE: u32 = 1_000;
/// The most that the items of one page take in an answer.
const MAX_PAGE_BYTES: usize = 3 << 20;
const DEFAULT_PAGE: u32 = 100;
const BINDING: usize = 8;

/// Which page: at most so many items, after a position.
#[derive(Clone, Debug, Default)]
pub struct Page {
    size: u32,
    token: Option<Box<str>>,
}

/// A page that cannot be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPage {
    /// More items than a page has.
    #[error("a page has at most {MAX_PAGE} items")]
    Size,
    /// Not a token of this list.
    #[error("not a page token of this list")]
    Token,
}

/// Why a list could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The page cannot be asked for.
    #[error(transparent)]
    Page(#[from] InvalidPage),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Paged<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// The token for the next page; absent at the end.
    pub next: Option<String>,
}

impl Page {
    /// `size` 0 means 100; an empty token means the first page.
    pub fn new(size: u32, token: &str) -> Result<Self, InvalidPage> {
        if size > MAX_PAGE {
            return Err(InvalidPage::Size);
        }
        let token = if token.is_empty() { None } else { Some(token.into()) };
        Ok(Self { size, token })
    }

    /// At most so many items.
    pub fn size(&self) -> u32 {
        if self.size == 0 { DEFAULT_PAGE } else { self.size.min(MAX_PAGE) }
    }

    /// One more than fits, so that the end is seen.
    pub(crate) fn fetch(&self) -> u32 {
        self.size() + 1
    }

    /// The position in this list, which `query` names.
    pub(crate) fn position(&self, query: &str) -> Result<Option<String>, InvalidPage> {
        let Some(token) = &self.token else { return Ok(None) };
        let bytes = URL_SAFE_NO_PAD.decode(token.as_bytes()).map_err(|_| InvalidPage::Token)?;
        let (bound, position) = bytes.split_at_checked(BINDING).ok_or(InvalidPage::Token)?;
        if bound != binding(query) {
            return Err(InvalidPage::Token);
        }
        String::from_utf8(position.to_vec()).map(Some).map_err(|_| InvalidPage::Token)
    }

    /// The same, where positions are ids.
    pub(crate) fn id<T: for<'a> TryFrom<&'a str>>(&self, query: &str) -> Result<Option<T>, InvalidPage> {
        let position = self.position(query)?;
        position.map(|text| T::try_from(text.as_str()).map_err(|_| InvalidPage::Token)).transpose()
    }

    /// Cuts what [`Page::fetch`] brought to one page.
    pub(crate) fn cut<T>(&self, query: &str, mut items: Vec<T>, position: impl Fn(&T) -> String) -> Paged<T> {
        let size = self.size() as usize;
        if items.len() <= size {
            return Paged { items, next: None };
        }
        items.truncate(size);
        Self::with_next(query, items, position)
    }

    /// As [`Page::cut`], for items of which a page's number may be too large for one answer: then it has fewer.
    pub(crate) fn cut_to_fit<T>(
        &self,
        query: &str,
        mut items: Vec<T>,
        bytes: impl Fn(&T) -> usize,
        position: impl Fn(&T) -> String,
    ) -> Paged<T> {
        let mut left = MAX_PAGE_BYTES;
        let fitting = items.iter().take_while(|item| {
            let fits = bytes(item) <= left;
            left = left.saturating_sub(bytes(item));
            fits
        });
        // One always fits, or the list would never end.
        let fitting = fitting.count().max(1);
        if fitting >= items.len() {
            return self.cut(query, items, position);
        }
        items.truncate(fitting.min(self.size() as usize));
        Self::with_next(query, items, position)
    }

    fn with_next<T>(query: &str, items: Vec<T>, position: impl Fn(&T) -> String) -> Paged<T> {
        let next = items.last().map(|last| {
            let mut bytes = binding(query).to_vec();
            bytes.extend_from_slice(position(last).as_bytes());
            URL_SAFE_NO_PAD.encode(bytes)
        });
        Paged { items, next }
    }
}

fn binding(query: &str) -> [u8; BINDING] {
    let mut head = [0; BINDING];
    head.copy_from_slice(&Sha256::digest(query)[..BINDING]);
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_on_in_its_own_list_only() {
        let first = Page::new(2, "").expect("a small page");
        let page = first.cut("letters", vec!["a", "b", "c"], |item| (*item).to_owned());
        assert_eq!(page.items, ["a", "b"]);
        let next = Page::new(2, &page.next.expect("there is more")).expect("a small page");
        assert_eq!(next.position("letters"), Ok(Some("b".to_owned())));
        assert_eq!(next.position("digits"), Err(InvalidPage::Token));
    }

    #[test]
    fn a_page_of_large_items_has_fewer() {
        let page = Page::new(4, "").expect("a small page");
        let third = |_: &u8| MAX_PAGE_BYTES / 3;
        let cut = page.cut_to_fit("q", vec![1, 2, 3, 4, 5], third, ToString::to_string);
        assert_eq!((cut.items, cut.next.is_some()), (vec![1, 2, 3], true));
        let cut = page.cut_to_fit("q", vec![1, 2, 3], third, ToString::to_string);
        assert_eq!((cut.items, cut.next), (vec![1, 2, 3], None));
        let cut = page.cut_to_fit("q", vec![1, 2], |_| MAX_PAGE_BYTES + 1, ToString::to_string);
        assert_eq!((cut.items, cut.next.is_some()), (vec![1], true));
        let cut = page.cut_to_fit("q", vec![1, 2, 3, 4, 5], |_| 1, ToString::to_string);
        assert_eq!((cut.items, cut.next.is_some()), (vec![1, 2, 3, 4], true));
    }

    #[test]
    fn the_last_page_has_no_token_and_garbage_is_refused() {
        let page = Page::new(0, "").expect("the default");
        assert_eq!((page.size(), page.fetch()), (100, 101));
        assert!(page.cut("q", vec![1, 2], ToString::to_string).next.is_none());
        for garbage in ["!", "AAAA", "é"] {
            assert_eq!(Page::new(1, garbage).expect("checked later").position("q"), Err(InvalidPage::Token));
        }
        assert_eq!(Page::new(1_001, "").expect_err("too many"), InvalidPage::Size);
    }
}
