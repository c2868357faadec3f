//! Where guest code and data lie: the same linear addresses in the guests and, natively, in this process.

/// Bytes in a page.
pub const PAGE: usize = 4096;

/// What user code may do with a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Read and execute, and write: self-modifying code is part of the test.
    Code,
    /// Read and write.
    Data,
    /// Read.
    ReadOnly,
}

/// A run of pages at a fixed linear address.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    /// How rows call it.
    pub name: &'static str,
    /// Linear address.
    pub base: u64,
    /// Length in pages.
    pub pages: usize,
    /// Rights of user code.
    pub rights: Rights,
}

impl Region {
    /// Length in bytes.
    pub const fn len(&self) -> usize {
        self.pages * PAGE
    }
    /// A region is never empty.
    pub const fn is_empty(&self) -> bool {
        self.pages == 0
    }
    /// One past the last byte.
    pub const fn end(&self) -> u64 {
        self.base + self.len() as u64
    }
    /// Where `length` bytes at a linear address lie inside the region.
    pub fn offset(&self, address: u64, length: usize) -> Option<usize> {
        let offset = usize::try_from(address.checked_sub(self.base)?).ok()?;
        (offset.checked_add(length)? <= self.len()).then_some(offset)
    }
}

/// Code; what follows is not mapped.
pub const CODE: Region = Region { name: "code", base: 0x10_0000_0000, pages: 64, rights: Rights::Code };
/// Two pages of data; [`READ_ONLY`] follows.
pub const DATA: Region = Region { name: "data", base: 0x10_0010_0000, pages: 2, rights: Rights::Data };
/// A page that may only be read, directly after [`DATA`]; what follows is not mapped.
pub const READ_ONLY: Region = Region { name: "ro", base: DATA.end(), pages: 1, rights: Rights::ReadOnly };
/// Two pages of stack, not mapped around.
pub const STACK: Region = Region { name: "stack", base: 0x10_0020_0000, pages: 2, rights: Rights::Data };
/// A page below 2 GiB, for absolute and 32-bit addresses. Its number ends like that of [`DATA`]'s first: what finds pages
/// by these bits has both in one place.
pub const LOW: Region = Region { name: "low", base: 0x2010_0000, pages: 1, rights: Rights::Data };

/// The regions whose bytes every case sets and compares, in the order of [`Image`].
pub const MEMORY: [Region; 4] = [DATA, READ_ONLY, STACK, LOW];

const _: () = assert!((LOW.base ^ DATA.base).trailing_zeros() >= 28);

/// Bytes of all [`MEMORY`] regions.
pub const IMAGE_BYTES: usize = (DATA.pages + READ_ONLY.pages + STACK.pages + LOW.pages) * PAGE;

/// The contents of all [`MEMORY`] regions, one after the other.
#[derive(Clone, PartialEq, Eq)]
pub struct Image(pub Box<[u8; IMAGE_BYTES]>);

impl Default for Image {
    fn default() -> Self {
        Self(Box::new([0; IMAGE_BYTES]))
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image({} bytes)", self.0.len())
    }
}

impl Image {
    /// The bytes of each region.
    pub fn regions(&self) -> impl Iterator<Item = (Region, &[u8])> {
        let mut rest = &self.0[..];
        MEMORY.into_iter().map(move |region| {
            let (bytes, tail) = rest.split_at(region.len());
            rest = tail;
            (region, bytes)
        })
    }
    /// The place of `length` bytes at a linear address; a range may run over adjacent regions.
    pub fn at(&mut self, address: u64, length: usize) -> Option<&mut [u8]> {
        let mut start = 0;
        for region in MEMORY {
            let last = if region.base == DATA.base { READ_ONLY } else { region };
            let span = (last.end() - region.base) as usize;
            if let Some(offset) =
                usize::try_from(address.wrapping_sub(region.base)).ok().filter(|o| *o < span)
            {
                let end = offset.checked_add(length).filter(|end| *end <= span)?;
                return self.0.get_mut(start + offset..start + end);
            }
            start += region.len();
        }
        None
    }
}

/// The linear address of a byte of [`Image`].
pub fn address_of(index: usize) -> u64 {
    let mut start = 0;
    for region in MEMORY {
        if index < start + region.len() {
            return region.base + (index - start) as u64;
        }
        start += region.len();
    }
    0
}

/// An address as rows write it: region and offset, if it lies in one, or near.
pub fn symbolic(address: u64) -> Option<String> {
    const NEAR: u64 = 64;
    let named = [CODE, DATA, READ_ONLY, STACK, LOW];
    let find = |margin| {
        named.into_iter().find(|region| (region.base - margin..region.end() + margin).contains(&address))
    };
    let Region { name, base, .. } = find(0).or_else(|| find(NEAR))?;
    Some(match (address.checked_sub(base), base.abs_diff(address)) {
        (_, 0) => name.to_owned(),
        (Some(offset), _) => format!("{name}+{offset:#x}"),
        (None, offset) => format!("{name}-{offset:#x}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_may_run_from_data_into_the_read_only_page() {
        let mut image = Image::default();
        assert!(image.at(READ_ONLY.base - 4, 8).is_some());
        assert!(image.at(READ_ONLY.end() - 4, 8).is_none());
        image.at(LOW.base, 1).unwrap()[0] = 7;
        assert_eq!(address_of(image.0.iter().position(|b| *b == 7).unwrap()), LOW.base);
    }

    #[test]
    fn addresses_have_names() {
        assert_eq!(symbolic(DATA.base + 0x10).as_deref(), Some("data+0x10"));
        assert_eq!(symbolic(READ_ONLY.base).as_deref(), Some("ro"));
        assert_eq!(symbolic(STACK.base - 8).as_deref(), Some("stack-0x8"));
        assert_eq!(symbolic(STACK.end()).as_deref(), Some("stack+0x2000"));
        assert_eq!(symbolic(1), None);
    }
}
