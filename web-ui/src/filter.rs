//! What somebody writes into the filter box: `status:ready tag:gpu zone:row-a dell r640`.
//!
//! Words with a known key are the filters of the API, the rest is looked for as one text. A text with spaces stands in
//! quotes. What has no filter in the API has none here.

use rackwright_region::model::machine::MachineQuery;

/// The keys, as they are completed.
pub const KEYS: [&str; 5] = ["status", "tag", "zone", "pool", "owner"];

/// The filters that a text means. Several statuses are any of them, several tags all of them; of the others the last
/// one counts.
pub fn parse(text: &str) -> MachineQuery {
    let mut query = MachineQuery::default();
    let mut words: Vec<String> = Vec::new();
    for word in split(text) {
        let found = word.split_once(':').filter(|(key, value)| KEYS.contains(key) && !value.is_empty());
        match found {
            Some(("status", value)) => join(&mut query.status, value),
            Some(("tag", value)) => join(&mut query.tag, value),
            Some(("zone", value)) => query.zone = Some(value.to_owned()),
            Some(("pool", value)) => query.pool = Some(value.to_owned()),
            Some(("owner", value)) => query.owner = Some(value.to_owned()),
            Some(_) | None => words.push(word),
        }
    }
    query.q = Some(words.join(" ")).filter(|q| !q.is_empty());
    query
}

/// One more value, as the API separates them.
fn join(values: &mut Option<String>, value: &str) {
    match values {
        Some(values) => {
            values.push(',');
            values.push_str(value);
        }
        None => *values = Some(value.to_owned()),
    }
}

/// Words; what stands in quotes is one, without them.
fn split(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words.retain(|w| !w.trim().is_empty());
    words
}

/// The text that means a filter; [`parse`] gives it back.
pub fn text(query: &MachineQuery) -> String {
    let quoted = |value: &str| {
        if value.contains(char::is_whitespace) { format!("\"{value}\"") } else { value.to_owned() }
    };
    let listed = |key: &str, values: &Option<String>| {
        values
            .iter()
            .flat_map(|v| v.split(','))
            .filter(|v| !v.trim().is_empty())
            .map(|v| format!("{key}:{}", quoted(v.trim())))
            .collect::<Vec<_>>()
    };
    let mut words = [
        listed("status", &query.status),
        listed("tag", &query.tag),
        listed("zone", &query.zone),
        listed("pool", &query.pool),
        listed("owner", &query.owner),
    ]
    .concat();
    words.extend(query.q.as_ref().map(|q| q.trim().to_owned()).filter(|q| !q.is_empty()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn words_with_a_key_are_filters_and_the_rest_is_text() {
        let query = parse(
            "  status:ready tag:gpu  dell r640 status:broken tag:h100 zone:row-a pool:\"my pool\" owner:ann ",
        );
        let expected = MachineQuery {
            status: some("ready,broken"),
            tag: some("gpu,h100"),
            zone: some("row-a"),
            pool: some("my pool"),
            owner: some("ann"),
            q: some("dell r640"),
            ..MachineQuery::default()
        };
        assert_eq!(query, expected);
        assert_eq!(parse(&text(&query)), query);
    }

    #[test]
    fn an_address_or_an_unknown_key_is_text() {
        for plain in ["52:54:00:01", "colour:red", "status:", ":x", "ceph-0"] {
            assert_eq!(parse(plain), MachineQuery { q: some(plain), ..MachineQuery::default() });
        }
        assert_eq!(parse(" \" "), MachineQuery::default());
    }
}
