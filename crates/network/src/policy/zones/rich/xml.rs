//! Rules in zone files: the same elements and attributes.
use super::{RichRule, check, read};
use crate::policy::zones::Fault;
use crate::policy::zones::xml::Node;

/// A rule of a `<rule>` element.
pub fn of_xml(node: &Node) -> Result<RichRule, Fault> {
    let mut text = "rule".to_owned();
    let mut push = |name: &str, value: &str| {
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
        text.push_str(&format!(" {name}=\"{quoted}\""));
    };
    for (name, value) in &node.attributes {
        push(name, value);
    }
    for element in &node.children {
        text.push_str(&format!(" {}", element.name));
        append(&mut text, element);
    }
    text.parse()
}

fn append(text: &mut String, element: &Node) {
    for (name, value) in &element.attributes {
        match (name.as_str(), value.to_lowercase().as_str()) {
            ("invert", "yes" | "true") => text.push_str(" NOT"),
            ("invert", _) => {}
            _ => {
                let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
                text.push_str(&format!(" {name}=\"{quoted}\""));
            }
        }
    }
    for limit in &element.children {
        text.push_str(&format!(" {}", limit.name));
        append(text, limit);
    }
}

/// A `<rule>` element of a rule.
pub fn to_xml(rule: &RichRule) -> Node {
    let mut node = Node::new("rule");
    // What is printed can be read.
    let Ok((parts, _)) = read::read(&rule.to_string()) else { return node };
    debug_assert!(check::check(&parts, false).is_ok());
    if let Some(family) = parts.family {
        node = node.with("family", family.name());
    }
    if parts.priority != 0 {
        node = node.with("priority", parts.priority.to_string());
    }
    for part in parts.parts {
        let mut element = Node::new(&part.name);
        element.attributes = part.attributes;
        if part.is_inverted {
            element = element.with("invert", "True");
        }
        element.children.extend(part.limit.map(|limit| Node::new("limit").with("value", limit)));
        node.children.push(element);
    }
    node
}
