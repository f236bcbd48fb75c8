//! Pages of lists: the arguments `first` and `after`, and the opaque cursor between them.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::error::{Error, Result};

/// Items of a page when the query does not say.
pub const DEFAULT_FIRST: usize = 20;
/// The most items of a page.
pub const MAX_FIRST: usize = 100;

/// Which part of a list is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many items at most.
    pub first: usize,
    /// The item after which the page begins.
    pub after: Option<Cursor>,
}

impl Page {
    /// Reads the two arguments of a connection.
    ///
    /// # Errors
    /// [`Error::BadInput`] when `first` is outside 1 to 100 or `after` is no cursor of ours.
    pub fn read(first: Option<i32>, after: Option<&str>) -> Result<Self> {
        let first = match first {
            None => DEFAULT_FIRST,
            Some(n) => usize::try_from(n)
                .ok()
                .filter(|n| (1..=MAX_FIRST).contains(n))
                .ok_or(Error::BadInput { argument: "first", reason: "must be from 1 to 100" })?,
        };
        let after = after
            .map(|text| {
                Cursor::decode(text)
                    .ok_or(Error::BadInput { argument: "after", reason: "is not a cursor of this list" })
            })
            .transpose()?;
        Ok(Self { first, after })
    }

    /// Cuts the page out of a whole list that is already filtered and sorted. `key` names an item.
    ///
    /// The page begins behind the item that the cursor names, wherever it stands by now; if it is
    /// gone, at the place where it stood.
    pub fn cut<T>(&self, all: Vec<T>, key: impl Fn(&T) -> String) -> Cut<T> {
        let total = all.len();
        let start = self.after.as_ref().map_or(0, |after| {
            all.iter().position(|item| key(item) == after.key).map_or(after.position.min(total), |at| at + 1)
        });
        let items: Vec<_> = all
            .into_iter()
            .enumerate()
            .skip(start)
            .take(self.first)
            .map(|(position, item)| (Cursor { position, key: key(&item) }, item))
            .collect();
        Cut { has_previous: start > 0, has_next: start + items.len() < total, total, items }
    }
}

/// One page of a list.
#[derive(Debug)]
pub struct Cut<T> {
    /// The items, each with the cursor that names it.
    pub items: Vec<(Cursor, T)>,
    /// The length of the whole list.
    pub total: usize,
    /// Whether items follow.
    pub has_next: bool,
    /// Whether items stand before.
    pub has_previous: bool,
}

/// The place of an item in a list: its key, and where it stood when the cursor was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    position: usize,
    key: String,
}

impl Cursor {
    /// The place behind an item that is found by its key alone.
    pub fn of(key: &str) -> Self {
        Self { position: 0, key: key.to_owned() }
    }

    /// What names the item.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The opaque text: base64url of `position:key`.
    pub fn encode(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(format!("{}:{}", self.position, self.key))
    }

    /// Reads what [`Cursor::encode`] wrote; `None` for anything else.
    pub fn decode(text: &str) -> Option<Self> {
        if text.len() > 256 {
            return None;
        }
        let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (position, key) = text.split_once(':')?;
        (!key.is_empty()).then_some(())?;
        Some(Self { position: position.parse().ok()?, key: key.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;

    use super::*;

    fn keys(page: &Page, list: &[u32]) -> Vec<u32> {
        let cut = page.cut(list.to_vec(), u32::to_string);
        cut.items.into_iter().map(|(_, n)| n).collect()
    }

    #[test]
    fn sizes_outside_the_range_name_the_argument() {
        for first in [0, -1, 101] {
            let error = Page::read(Some(first), None).unwrap_err();
            assert_eq!(error.to_string(), "first: must be from 1 to 100");
        }
        assert!(Page::read(Some(100), None).is_ok());
    }

    #[test]
    fn a_page_follows_its_cursor_although_the_list_grew() {
        let page = Page { first: 2, after: None };
        let cut = page.cut(vec![1, 2, 3, 4], u32::to_string);
        assert!(cut.has_next && !cut.has_previous);
        let after = Page { first: 2, after: cut.items.last().map(|(cursor, _)| cursor.clone()) };
        assert_eq!(keys(&after, &[0, 1, 2, 3, 4]), [3, 4]);
        assert_eq!(keys(&after, &[1, 3, 4]), [3, 4]);
    }

    proptest! {
        #[test]
        fn a_cursor_survives_its_encoding(position: usize, key in "[A-Za-z0-9:]{1,40}") {
            let cursor = Cursor { position, key };
            prop_assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        }

        #[test]
        fn no_text_makes_decoding_panic(text in "\\PC*") {
            let _ = Cursor::decode(&text);
        }
    }
}
