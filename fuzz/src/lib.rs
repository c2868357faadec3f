//! What the fuzz targets do with a fuzzer's bytes.
//!
//! Images are megabytes long and nearly all of them is zeros, so the bytes are not the image itself: [`Input`] says how
//! they become one, and what is done with it.
#![forbid(unsafe_code)]

mod input;
mod inspect;
mod limit;
mod storage_use;

pub use input::{Act, Input};
pub use inspect::look_into;
pub use limit::limit_memory;
pub use storage_use::{BASE_NAME, use_image};
