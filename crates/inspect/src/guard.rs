//! Readers of file systems that others wrote, kept from taking the process down.
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::{FileSystemKind, InspectError};

thread_local! {
    /// Whether a panic of this thread will be caught here.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Does something with a file system; a panic becomes an error, and is not printed.
pub fn guarded<T>(
    kind: FileSystemKind,
    action: impl FnOnce() -> Result<T, InspectError>,
) -> Result<T, InspectError> {
    keep_quiet();
    let outer = GUARDED.replace(true);
    // What is behind the guard only reads, so a half-done step leaves nothing behind that a later one could trip over.
    let result = catch_unwind(AssertUnwindSafe(action));
    GUARDED.set(outer);
    result.unwrap_or_else(|panic| {
        Err(InspectError::damaged(kind, format!("its reader gave up ({})", message(&panic))))
    })
}

/// Makes the process say nothing about panics that are caught here.
fn keep_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                before(info);
            }
        }));
    });
}

fn message(panic: &Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a word".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_are_errors() {
        let error = guarded::<()>(FileSystemKind::Fat, || panic!("odd {}", 3)).unwrap_err();
        assert_eq!(error.to_string(), "the vfat file system is damaged: its reader gave up (odd 3)");
        assert_eq!(guarded(FileSystemKind::Fat, || Ok(3)).unwrap(), 3);
    }
}
