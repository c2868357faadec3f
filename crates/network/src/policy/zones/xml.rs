//! As much of XML as firewalld's files have: elements, attributes, text and comments; no entities of one's own.
use std::fmt::Write;

/// Bytes and depth of a file at most.
const BYTES_MAX: usize = 1 << 20;
const DEPTH_MAX: usize = 16;

/// An element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    pub text: String,
    pub children: Vec<Node>,
}

/// Not XML, or not the part of it that is read here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not well-formed at byte {0}")]
pub struct Malformed(pub usize);

impl Node {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.attributes.push((name.to_owned(), value.into()));
        self
    }
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
    /// The outermost element of a file.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut reader = Reader { text, at: 0 };
        if text.len() > BYTES_MAX {
            return Err(Malformed(BYTES_MAX));
        }
        reader.skip_between()?;
        let node = reader.element(DEPTH_MAX)?;
        reader.skip_between()?;
        if reader.at == text.len() { Ok(node) } else { Err(Malformed(reader.at)) }
    }
    /// A whole file, as firewalld indents it.
    pub fn print(&self) -> String {
        let mut text = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n".to_owned();
        self.print_at(0, &mut text);
        text
    }
    fn print_at(&self, depth: usize, to: &mut String) {
        let indent = "  ".repeat(depth);
        let _ = write!(to, "{indent}<{}", self.name);
        for (name, value) in &self.attributes {
            let _ = write!(to, " {name}=\"{}\"", escape(value).replace('"', "&quot;"));
        }
        match (self.children.is_empty(), self.text.is_empty()) {
            (true, true) if depth > 0 => to.push_str("/>\n"),
            (true, false) => {
                let _ = writeln!(to, ">{}</{}>", escape(&self.text), self.name);
            }
            _ => {
                to.push_str(">\n");
                self.children.iter().for_each(|child| child.print_at(depth + 1, to));
                let _ = writeln!(to, "{indent}</{}>", self.name);
            }
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }
    fn wrong<T>(&self) -> Result<T, Malformed> {
        Err(Malformed(self.at))
    }
    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }
    fn until(&mut self, token: &str) -> Result<&'a str, Malformed> {
        let rest = self.rest();
        let Some(end) = rest.find(token) else { return self.wrong() };
        self.at += end + token.len();
        Ok(&rest[..end])
    }
    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }
    /// Space, comments, and what stands before the outermost element.
    fn skip_between(&mut self) -> Result<(), Malformed> {
        self.take("\u{feff}");
        loop {
            self.skip_space();
            if self.take("<!--") {
                self.until("-->")?;
            } else if self.take("<?") {
                self.until("?>")?;
            } else {
                return Ok(());
            }
        }
    }
    fn name(&mut self) -> Result<&'a str, Malformed> {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':')));
        match &rest[..end.unwrap_or(rest.len())] {
            "" => self.wrong(),
            name => {
                self.at += name.len();
                Ok(name)
            }
        }
    }
    fn element(&mut self, depth: usize) -> Result<Node, Malformed> {
        if depth == 0 || !self.take("<") {
            return self.wrong();
        }
        let mut node = Node::new(self.name()?);
        loop {
            self.skip_space();
            if self.take("/>") {
                return Ok(node);
            }
            if self.take(">") {
                break;
            }
            let name = self.name()?;
            self.skip_space();
            if !self.take("=") {
                return self.wrong();
            }
            self.skip_space();
            let quote = if self.take("\"") {
                "\""
            } else if self.take("'") {
                "'"
            } else {
                return self.wrong();
            };
            let value = self.until(quote)?;
            node = node.with(name, self.unescape(value)?);
        }
        self.contents(&mut node, depth)?;
        Ok(node)
    }
    fn contents(&mut self, node: &mut Node, depth: usize) -> Result<(), Malformed> {
        loop {
            let rest = self.rest();
            let Some(end) = rest.find('<') else { return self.wrong() };
            let text = self.unescape(&rest[..end])?;
            node.text.push_str(&text);
            self.at += end;
            if self.take("<!--") {
                self.until("-->")?;
            } else if self.take("<![CDATA[") {
                node.text.push_str(self.until("]]>")?);
            } else if self.take("</") {
                let name = self.name()?;
                self.skip_space();
                if name != node.name || !self.take(">") {
                    return self.wrong();
                }
                node.text = node.text.trim().to_owned();
                return Ok(());
            } else {
                node.children.push(self.element(depth - 1)?);
            }
        }
    }
    fn unescape(&self, text: &str) -> Result<String, Malformed> {
        let mut parts = text.split('&');
        let mut whole = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let Some((name, rest)) = part.split_once(';') else { return self.wrong() };
            let number = name.strip_prefix("#x").map(|hex| u32::from_str_radix(hex, 16));
            let number = number.or_else(|| name.strip_prefix('#').map(str::parse));
            let c = match (name, number) {
                ("lt", _) => '<',
                ("gt", _) => '>',
                ("amp", _) => '&',
                ("quot", _) => '"',
                ("apos", _) => '\'',
                (_, Some(Ok(number))) => char::from_u32(number).ok_or(Malformed(self.at))?,
                _ => return self.wrong(),
            };
            whole.push(c);
            whole.push_str(rest);
        }
        Ok(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_and_written() {
        let text = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!-- c --><zone target='DROP'>\n  <short>A &amp; B</short>\n  \
                    <rule><!-- x --><log prefix=\"&lt;&#65;\"/></rule></zone>\n";
        let node = Node::parse(text).unwrap();
        assert_eq!((node.get("target"), node.children[0].text.as_str()), (Some("DROP"), "A & B"));
        assert_eq!(node.children[1].children[0].get("prefix"), Some("<A"));
        assert_eq!(Node::parse(&node.print()).unwrap(), node);
        assert_eq!(Node::new("zone").print().lines().count(), 3);
    }

    #[test]
    fn what_is_odd_is_refused() {
        for wrong in
            ["", "<a>", "<a></b>", "<a b></a>", "<a b=c/>", "<a/>x", "<a>&x;</a>", "<a", "<!-- ", "<a b=\"/>"]
        {
            assert!(Node::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Node::parse(&("<a>".repeat(100) + &"</a>".repeat(100))).is_err());
    }
}
