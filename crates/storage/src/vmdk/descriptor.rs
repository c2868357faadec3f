//! The descriptor of a VMDK image: text with one `name=value` or one extent in a line.
use super::spec;

/// Extents that a disk can have: enough for 4 TiB in files of 2 GiB.
const EXTENTS_MAX: usize = 2048;

/// What a descriptor says.
#[derive(Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// `createType`.
    pub kind: String,
    /// `parentCID`, if the image has a parent.
    pub parent: Option<String>,
    /// Where in the text the eight digits of the content's ID begin, if it has them.
    pub content_id_at: Option<usize>,
    /// The extents, in the disk's order.
    pub extents: Vec<ExtentLine>,
}

/// A line that describes an extent: `RW 4192256 SPARSE "disk-s001.vmdk"`.
#[derive(Debug, PartialEq, Eq)]
pub struct ExtentLine {
    /// It may be written.
    pub is_writable: bool,
    /// Its length.
    pub sectors: u64,
    /// What it is.
    pub kind: ExtentType,
    /// The file that it is in.
    pub name: String,
    /// Where in a flat file it begins, in sectors.
    pub offset: u64,
}

/// What an extent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtentType {
    /// Bytes.
    Flat,
    /// Grains and tables.
    Sparse,
    /// Zeros, with no file.
    Zero,
}

impl Descriptor {
    /// Reads a text, up to its first zero; or says what is wrong.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        let (mut kind, mut parent, mut content_id_at, mut extents) = (None, None, None, Vec::new());
        let mut at = 0;
        for whole in text.split_inclusive(|byte| *byte == b'\n') {
            let decoded = String::from_utf8_lossy(whole);
            let line = decoded.trim();
            let value =
                line.split_once('=').map(|(name, value)| (name.trim(), value.trim().trim_matches('"')));
            match value {
                _ if line.starts_with('#') || line.is_empty() => {}
                _ if is_extent(line) => extents.push(ExtentLine::parse(line)?),
                Some(("createType", value)) => kind = Some(value.to_owned()),
                Some(("parentCID", value)) if !value.eq_ignore_ascii_case(spec::NO_PARENT) => {
                    parent = Some(value.to_owned());
                }
                Some(("CID", value)) if is_id(value) && whole.starts_with(b"CID=") => {
                    content_id_at = whole[4..].starts_with(value.as_bytes()).then_some(at + 4);
                }
                _ => {}
            }
            at += whole.len();
            if extents.len() > EXTENTS_MAX {
                return Err("its descriptor has too many extents".to_owned());
            }
        }
        let kind = kind.ok_or("its descriptor has no createType")?;
        Ok(Self { kind, parent, content_id_at, extents })
    }
}

fn is_id(value: &str) -> bool {
    value.len() == 8 && value.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_extent(line: &str) -> bool {
    let access = line.split_whitespace().next().unwrap_or_default();
    ["RW", "RDONLY", "NOACCESS"].contains(&access)
}

impl ExtentLine {
    fn parse(line: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("an extent of its descriptor has {what}");
        // The name may have blanks in it.
        let (front, quoted) = line.split_once('"').unwrap_or((line, ""));
        let (name, back) = quoted.rsplit_once('"').unwrap_or((quoted, ""));
        let mut words = front.split_whitespace();
        let access = words.next().unwrap_or_default();
        let sectors = words.next().and_then(|word| word.parse().ok());
        let kind = match words.next().unwrap_or_default() {
            "FLAT" | "VMFS" => ExtentType::Flat,
            "SPARSE" => ExtentType::Sparse,
            "ZERO" => ExtentType::Zero,
            other => return Err(wrong(&format!("the type {other:?}, which is not supported"))),
        };
        let offset = match back.split_whitespace().next() {
            Some(word) => word.parse().map_err(|_| wrong("no number as its offset"))?,
            None => 0,
        };
        if access == "NOACCESS" {
            return Err(wrong("no access"));
        }
        if kind != ExtentType::Zero && !is_plain(name) {
            return Err(wrong(&format!("the name {name:?}, which is no plain name of a file beside it")));
        }
        let sectors = sectors.ok_or_else(|| wrong("no length"))?;
        Ok(Self { is_writable: access == "RW", sectors, kind, name: name.to_owned(), offset })
    }
}

/// Whether a name is that of a file in the descriptor's own directory.
fn is_plain(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\\']) && !name.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(extent: &str) -> Result<Descriptor, String> {
        let head = "# Disk DescriptorFile\nversion=1\nCID=0123abcd\nparentCID=FFFFFFFF\n";
        Descriptor::parse(format!("{head}createType=\"custom\"\r\n\r\n{extent}\r\n\0RW").as_bytes())
    }

    #[test]
    fn lines_are_understood() {
        let found = of("RW 4096 FLAT \"a b.vmdk\" 128\nRDONLY 63 ZERO").unwrap();
        assert_eq!((found.kind.as_str(), found.parent), ("custom", None));
        assert_eq!(found.content_id_at, Some(36));
        let name = "a b.vmdk".to_owned();
        let flat = ExtentLine { is_writable: true, sectors: 4096, kind: ExtentType::Flat, name, offset: 128 };
        let name = String::new();
        let zero = ExtentLine { is_writable: false, sectors: 63, kind: ExtentType::Zero, name, offset: 0 };
        assert_eq!(found.extents, [flat, zero]);
    }

    #[test]
    fn names_stay_in_the_directory() {
        for name in ["", ".", "..", "/etc/passwd", "../x", "a/b", "a\\b", "a\u{7}"] {
            assert!(of(&format!("RW 4096 FLAT \"{name}\" 0")).unwrap_err().contains("plain name"), "{name}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for line in
            ["RW", "RW x FLAT \"a\"", "RW 1 SESPARSE \"a\"", "NOACCESS 1 FLAT \"a\"", "RW 1 FLAT \"a\" x"]
        {
            assert!(of(line).is_err(), "{line}");
        }
        assert!(Descriptor::parse(b"# Disk DescriptorFile\n").is_err());
        assert_eq!(
            Descriptor::parse(b"createType=x\nparentCID=00000001").unwrap().parent.as_deref(),
            Some("00000001")
        );
    }
}
