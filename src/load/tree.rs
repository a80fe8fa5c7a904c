//! YAML (and JSON, which is nearly a part of it) as a tree that knows its lines, for checks that go on
//! after the first fault.

use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::Located;
use crate::diagnostic::Diagnostic;

/// One value of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(f64),
    /// Text.
    Text(String),
    /// `[…]`.
    List(Vec<Located<Node>>),
    /// `key: value` lines in order.
    Map(Vec<(Located<String>, Located<Node>)>),
}

impl Node {
    /// What it is, for messages.
    pub fn describe(&self) -> String {
        match self {
            Node::Null => "nothing".to_owned(),
            Node::List(_) => "a list".to_owned(),
            Node::Map(_) => "`key: value` lines".to_owned(),
            scalar => format!("`{}`", scalar.text().unwrap_or_default()),
        }
    }

    /// A scalar as it would be written.
    pub fn text(&self) -> Option<String> {
        match self {
            Node::Bool(b) => Some(b.to_string()),
            Node::Number(n) => Some(n.to_string()),
            Node::Text(text) => Some(text.clone()),
            Node::Null | Node::List(_) | Node::Map(_) => None,
        }
    }

    /// The entries, if there are any.
    pub fn entries(&self) -> &[(Located<String>, Located<Node>)] {
        match self {
            Node::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Located<Node>> {
        self.entries().iter().find(|(name, _)| name.value == key).map(|(_, value)| value)
    }

    /// The line of a field such as `memory.fraction`; a last name that stands nowhere is looked for at
    /// any depth.
    pub fn line_of(&self, field: &str) -> Option<u64> {
        let mut place: Option<(u64, &Node)> = None;
        for part in field.split('.') {
            let inside = place.map_or(self, |(_, node)| node);
            let found = inside.entries().iter().find(|(name, _)| name.value == part);
            match found {
                Some((name, value)) => place = Some((name.referenced.line(), &value.value)),
                None => return place.map(|(line, _)| line).or_else(|| self.line_of_key(part)),
            }
        }
        place.map(|(line, _)| line)
    }

    fn line_of_key(&self, key: &str) -> Option<u64> {
        self.entries().iter().find_map(|(name, value)| {
            let here = (name.value == key).then(|| name.referenced.line());
            here.or_else(|| value.value.line_of_key(key))
        })
    }
}

/// Parses text to a tree.
///
/// # Errors
/// [`crate::diagnostic::Code::Syntax`]: the first place where it is not YAML.
pub fn tree(text: &str, name: &str) -> Result<Located<Node>, Diagnostic> {
    super::yaml(text, name)
}

/// The line of a field in a text, if it is there.
pub fn line_of(text: &str, field: &str) -> Option<u64> {
    tree(text, "").ok()?.value.line_of(field)
}

/// Adds the file to what is wrong with it, and the line of the field at fault where it can be found.
pub fn blame(diagnostic: Diagnostic, file: &str) -> Diagnostic {
    let line = diagnostic.field_name().and_then(|field| line_of(&super::text(Path::new(file)).ok()?, field));
    match line {
        Some(line) => diagnostic.within(format!("{file}, line {line}")),
        None => diagnostic.within(file),
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }
    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value as f64))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value as f64))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Number(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_path_and_a_lone_name_at_any_depth() {
        let text = "id: a\nmemory:\n  fraction: 2\nscheduling:\n  launch_share: 3\n";
        assert_eq!(line_of(text, "memory.fraction"), Some(3));
        assert_eq!(line_of(text, "launch_share"), Some(5));
        assert_eq!(line_of(text, "memory.absent"), Some(2));
        assert_eq!(line_of(text, "nowhere"), None);
    }

    #[test]
    fn json_with_tabs_has_lines_too() {
        assert_eq!(line_of("{\n\t\"a\": 1,\n\t\"b\": {\"c\": [1]}\n}\n", "b.c"), Some(3));
    }
}
