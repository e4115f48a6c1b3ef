//! Keyset pages: stable while rows come and go, and as quick on the last page as on the first.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// Rows on a page when nobody says.
pub const DEFAULT_LIMIT: i64 = 100;
/// Rows on a page at most.
pub const MAX_LIMIT: i64 = 1000;

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The rows, in the list's order.
    pub items: Vec<T>,
    /// Rows that the filters let through, over all pages. Lists that may be long count once, for their first page.
    pub total: i64,
    /// Give it back as `cursor` for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Where a page begins and how long it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Rows on the page, 1 to 1000; 100 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// The cursor is not one that a page gave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a cursor of this list: take `next_cursor` of the page before, unchanged")]
pub struct InvalidCursor;

impl PageQuery {
    /// The number of rows, within bounds.
    pub fn rows(&self) -> i64 {
        self.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT)
    }

    /// The key after which the page begins.
    pub fn after(&self) -> Result<Option<String>, InvalidCursor> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| InvalidCursor)?;
        String::from_utf8(bytes).map(Some).map_err(|_| InvalidCursor)
    }

    /// As [`Self::after`], for lists whose cursor carries their total: `<total> <key>`.
    pub fn after_counted(&self) -> Result<Option<(i64, String)>, InvalidCursor> {
        let Some(cursor) = self.after()? else { return Ok(None) };
        let (total, key) = cursor.split_once(' ').ok_or(InvalidCursor)?;
        Ok(Some((total.parse().map_err(|_| InvalidCursor)?, key.to_owned())))
    }
}

impl<T> Page<T> {
    /// Makes a page of `rows`, of which one more than `limit` was asked for: it tells that there is a next page.
    pub fn new(mut rows: Vec<T>, total: i64, limit: i64, key: impl Fn(&T) -> String) -> Self {
        let limit = usize::try_from(limit).unwrap_or(0);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| more).map(|row| URL_SAFE_NO_PAD.encode(key(row)));
        Self { items: rows, total, next_cursor }
    }

    /// A list that is short by nature, whole.
    pub fn whole(items: Vec<T>) -> Self {
        let total = i64::try_from(items.len()).unwrap_or(i64::MAX);
        Self { items, total, next_cursor: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_names_the_last_row_of_its_page() {
        let page = Page::new(vec!["a", "b", "c"], 7, 2, ToString::to_string);
        assert_eq!((page.items, page.total), (vec!["a", "b"], 7));
        let query = PageQuery { limit: None, cursor: page.next_cursor };
        assert_eq!(query.after(), Ok(Some("b".to_owned())));
        assert_eq!(query.rows(), 100);
    }

    #[test]
    fn a_counted_cursor_carries_the_total() {
        let page = Page::new(vec!["a", "b", "c"], 7, 2, |key| format!("7 {key}"));
        let query = PageQuery { limit: None, cursor: page.next_cursor };
        assert_eq!(query.after_counted(), Ok(Some((7, "b".to_owned()))));
        let uncounted = PageQuery { limit: None, cursor: Some(URL_SAFE_NO_PAD.encode("b")) };
        assert_eq!(uncounted.after_counted(), Err(InvalidCursor));
    }

    #[test]
    fn the_last_page_has_no_cursor() {
        assert_eq!(Page::new(vec![1, 2], 2, 2, ToString::to_string).next_cursor, None);
    }

    #[test]
    fn a_made_up_cursor_is_refused() {
        let query = PageQuery { limit: Some(5000), cursor: Some("%%".into()) };
        assert_eq!(query.after(), Err(InvalidCursor));
        assert_eq!(query.rows(), MAX_LIMIT);
    }
}
