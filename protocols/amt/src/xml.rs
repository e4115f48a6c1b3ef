//! XML into a small tree by local names, bounded in size and depth. Namespaces are not told apart: the elements that matter
//! have distinct names, and devices choose prefixes freely.

use quick_xml::Reader;
use quick_xml::events::Event;

const DEPTH: usize = 24;
const ELEMENTS: usize = 4096;

/// An element with its text and children.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
}

impl Element {
    /// Reads a document's root element. `None` when it is not well-formed, or larger than any answer should be.
    pub(crate) fn parse(document: &str) -> Option<Self> {
        let mut reader = Reader::from_str(document);
        let mut open: Vec<Self> = vec![Self::default()];
        let mut elements = 0;
        loop {
            match reader.read_event().ok()? {
                Event::Start(start) => {
                    elements += 1;
                    if open.len() > DEPTH || elements > ELEMENTS {
                        return None;
                    }
                    open.push(Self::named(start.local_name().as_ref()));
                }
                Event::Empty(start) => {
                    elements += 1;
                    if elements > ELEMENTS {
                        return None;
                    }
                    open.last_mut()?.children.push(Self::named(start.local_name().as_ref()));
                }
                Event::End(_) => {
                    let mut done = open.pop()?;
                    done.text = done.text.trim().to_owned();
                    open.last_mut()?.children.push(done);
                }
                Event::Text(text) => open.last_mut()?.text.push_str(&text.decode().ok()?),
                Event::CData(data) => open.last_mut()?.text.push_str(&data.decode().ok()?),
                Event::GeneralRef(reference) => open.last_mut()?.text.push_str(&resolve(&reference)?),
                Event::DocType(_) => return None,
                Event::Eof => break,
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            }
        }
        let mut document = open.pop().filter(|_| open.is_empty())?;
        (document.children.len() == 1).then(|| document.children.remove(0))
    }

    fn named(name: &[u8]) -> Self {
        Self { name: String::from_utf8_lossy(name).into_owned(), ..Self::default() }
    }

    /// The first element of that name, this one or below.
    pub(crate) fn find(&self, name: &str) -> Option<&Self> {
        if self.name == name {
            return Some(self);
        }
        self.children.iter().find_map(|child| child.find(name))
    }

    /// The text of the first element of that name.
    pub(crate) fn text_of(&self, name: &str) -> Option<&str> {
        self.find(name).map(|element| element.text.as_str())
    }
}

fn resolve(reference: &quick_xml::events::BytesRef<'_>) -> Option<String> {
    if let Some(character) = reference.resolve_char_ref().ok()? {
        return Some(character.to_string());
    }
    let text = match reference.decode().ok()?.as_ref() {
        "lt" => "<",
        "gt" => ">",
        "amp" => "&",
        "apos" => "'",
        "quot" => "\"",
        _ => return None,
    };
    Some(text.to_owned())
}

/// Text as it may stand in an element or attribute.
pub(crate) fn escape(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_prefix_and_text_its_entities() {
        let root = Element::parse("<?xml version=\"1.0\"?><a:R xmlns:a='u'><b> x &amp; &#65; </b><c/></a:R>")
            .unwrap();
        assert_eq!((root.name.as_str(), root.children.len()), ("R", 2));
        assert_eq!(root.text_of("b"), Some("x & A"));
    }

    #[test]
    fn what_is_no_document_is_refused() {
        let deep = "<a>".repeat(100) + &"</a>".repeat(100);
        let many = format!("<a>{}</a>", "<b/>".repeat(5000));
        for text in ["", "<a>", "<a></b>", "<a/><b/>", "<!DOCTYPE a><a/>", "<a>&x;</a>", &deep, &many] {
            assert_eq!(Element::parse(text), None, "{:.40}", text);
        }
    }
}
