//! What a directory has.
use serde::{Serialize, Serializer};

use crate::{Time, printable};

/// A file, a directory or whatever else has a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its name: bytes, as file systems of Unix have no other rule.
    #[serde(serialize_with = "lossy")]
    pub name: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Permissions as in Unix, twelve bits; `None` where the file system has none.
    pub mode: Option<u16>,
    /// Bytes.
    pub size: u64,
    /// When its bytes changed last.
    pub modified: Option<Time>,
    /// Where a symbolic link leads to.
    #[serde(serialize_with = "lossy_option")]
    pub target: Option<Vec<u8>>,
}

/// What an entry of a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// Bytes.
    File,
    /// Has entries itself.
    Directory,
    /// Leads elsewhere.
    Symlink,
    /// A device of blocks.
    BlockDevice,
    /// A device of characters.
    CharacterDevice,
    /// A named pipe.
    Pipe,
    /// A socket.
    Socket,
    /// Something that only the file system's own system makes sense of.
    Other,
}

impl EntryKind {
    /// The letter that Unix has for it.
    pub fn letter(self) -> char {
        match self {
            Self::File => '-',
            Self::Directory => 'd',
            Self::Symlink => 'l',
            Self::BlockDevice => 'b',
            Self::CharacterDevice => 'c',
            Self::Pipe => 'p',
            Self::Socket => 's',
            Self::Other => '?',
        }
    }
    /// What the upper bits of a mode say.
    pub(crate) fn of_mode(mode: u32) -> Self {
        match mode >> 12 & 0xf {
            0x1 => Self::Pipe,
            0x2 => Self::CharacterDevice,
            0x4 => Self::Directory,
            0x6 => Self::BlockDevice,
            0x8 => Self::File,
            0xa => Self::Symlink,
            0xc => Self::Socket,
            _ => Self::Other,
        }
    }
}

impl Entry {
    /// The directory at the top.
    pub(crate) fn root() -> Self {
        Self {
            name: b"/".to_vec(),
            kind: EntryKind::Directory,
            mode: None,
            size: 0,
            modified: None,
            target: None,
        }
    }
    /// Kind and permissions as `ls -l` shows them; dashes where there are no permissions.
    pub fn mode_text(&self) -> String {
        let Some(mode) = self.mode else { return format!("{}---------", self.kind.letter()) };
        let letters = |shift: u16, special: bool, letter: char| {
            let bits = mode >> shift & 7;
            let execute = match (special, bits & 1 != 0) {
                (true, true) => letter,
                (true, false) => letter.to_ascii_uppercase(),
                (false, true) => 'x',
                (false, false) => '-',
            };
            [if bits & 4 != 0 { 'r' } else { '-' }, if bits & 2 != 0 { 'w' } else { '-' }, execute]
        };
        let owner = letters(6, mode & 0o4000 != 0, 's');
        let group = letters(3, mode & 0o2000 != 0, 's');
        let others = letters(0, mode & 0o1000 != 0, 't');
        [self.kind.letter()].into_iter().chain(owner).chain(group).chain(others).collect()
    }
    /// The name, and where a link leads to, as a terminal may show them.
    pub fn name_text(&self) -> String {
        match &self.target {
            Some(target) => format!("{} -> {}", printable(&self.name), printable(target)),
            None => printable(&self.name),
        }
    }
}

fn lossy<S: Serializer>(name: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(name))
}

fn lossy_option<S: Serializer>(name: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    name.as_deref().map(String::from_utf8_lossy).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_written_as_everywhere() {
        for (kind, mode, text) in [
            (EntryKind::File, Some(0o644), "-rw-r--r--"),
            (EntryKind::Directory, Some(0o1777), "drwxrwxrwt"),
            (EntryKind::File, Some(0o4755), "-rwsr-xr-x"),
            (EntryKind::File, Some(0o2640), "-rw-r-S---"),
            (EntryKind::File, None, "----------"),
        ] {
            assert_eq!(Entry { kind, mode, ..Entry::root() }.mode_text(), text);
        }
    }
}
