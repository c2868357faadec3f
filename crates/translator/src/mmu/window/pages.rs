//! Which pages windows show, and which of them show one frame: there are tens of thousands, of 40 bytes.
use std::collections::HashMap;

use super::Mapped;

/// Pages by linear page number.
#[derive(Debug, Default)]
pub struct Pages {
    pages: HashMap<u64, Page>,
    /// The first page that shows each frame.
    first: HashMap<u64, u64>,
}

/// A page that is shown.
#[derive(Clone, Copy, Debug)]
struct Page {
    /// The frame, and [`WRITABLE`].
    shown: u64,
    /// The next page that shows the frame, or [`NO_PAGE`].
    beside: u64,
}

const WRITABLE: u64 = 1 << 63;
/// In place of a page number.
const NO_PAGE: u64 = u64::MAX;

impl Page {
    fn mapped(self) -> Mapped {
        Mapped { frame: self.shown & !WRITABLE, writable: self.shown & WRITABLE != 0 }
    }
}

impl Pages {
    /// A page shows a frame from now on; whether it showed none before.
    pub fn show(&mut self, page: u64, mapped: Mapped) -> bool {
        let was_shown = self.hide(page);
        let beside = self.first.insert(mapped.frame, page).unwrap_or(NO_PAGE);
        let right = if mapped.writable { WRITABLE } else { 0 };
        self.pages.insert(page, Page { shown: mapped.frame | right, beside });
        !was_shown
    }
    /// A page shows nothing any more; whether it did.
    pub fn hide(&mut self, page: u64) -> bool {
        let Some(hidden) = self.pages.remove(&page) else { return false };
        let frame = hidden.mapped().frame;
        if self.first.get(&frame) == Some(&page) {
            match hidden.beside {
                NO_PAGE => drop(self.first.remove(&frame)),
                beside => drop(self.first.insert(frame, beside)),
            }
            return true;
        }
        let before = self.of_frame(frame).find(|other| self.pages[other].beside == page);
        if let Some(before) = before.and_then(|before| self.pages.get_mut(&before)) {
            before.beside = hidden.beside;
        }
        true
    }
    /// The pages that show a frame.
    pub fn of_frame(&self, frame: u64) -> impl Iterator<Item = u64> {
        let first = self.first.get(&frame).copied();
        std::iter::successors(first, |page| self.pages.get(page).map(|page| page.beside))
            .take_while(|page| self.pages.contains_key(page))
    }
    /// A page must not be written any more; whether it might.
    pub fn protect(&mut self, page: u64) -> bool {
        self.pages.get_mut(&page).is_some_and(|page| {
            let was_writable = page.mapped().writable;
            page.shown &= !WRITABLE;
            was_writable
        })
    }
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Mapped)> {
        self.pages.iter().map(|(number, page)| (*number, page.mapped()))
    }
    /// How many there are.
    pub fn len(&self) -> usize {
        self.pages.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }
    /// None shows anything any more.
    pub fn clear(&mut self) {
        self.pages.clear();
        self.first.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_frame(pages: &Pages, frame: u64) -> Vec<u64> {
        let mut found: Vec<_> = pages.of_frame(frame).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn every_page_of_a_frame_is_known() {
        for hidden in 1..=3 {
            let mut pages = Pages::default();
            for page in 1..=3 {
                assert!(pages.show(page, Mapped { frame: 7, writable: true }));
            }
            assert!(pages.show(9, Mapped { frame: 8, writable: false }));
            assert_eq!(of_frame(&pages, 7), [1, 2, 3]);
            assert!(pages.hide(hidden) && !pages.hide(hidden));
            let left: Vec<_> = (1..=3).filter(|page| *page != hidden).collect();
            assert_eq!((of_frame(&pages, 7), of_frame(&pages, 8), pages.len()), (left.clone(), vec![9], 3));
            // Another frame, and the same again with another right.
            assert!(!pages.show(left[0], Mapped { frame: 8, writable: true }));
            assert!(!pages.show(left[1], Mapped { frame: 7, writable: false }));
            assert_eq!(of_frame(&pages, 7), [left[1]]);
            assert_eq!(of_frame(&pages, 8), [left[0], 9]);
            assert!(pages.protect(left[0]) && !pages.protect(left[0]) && !pages.protect(left[1]));
            for page in [left[0], left[1], 9] {
                assert!(pages.hide(page));
            }
            assert!(pages.is_empty() && pages.first.is_empty());
        }
    }
}
