//! What the fuzz targets do with a fuzzer's bytes.
//!
//! Images are megabytes long and nearly all of them is zeros, so the bytes are not the image itself: [`Input`] says how
//! they become one, and what is done with it. Frames and messages are as they are, with a few bytes in front of each.
#![forbid(unsafe_code)]

mod frames;
mod input;
mod inspect;
mod limit;
mod segments;
mod services;
mod storage_use;

pub use frames::{ADDRESSES, CARDS, send_frames};
pub use input::{Act, Input};
pub use inspect::look_into;
pub use limit::limit_memory;
pub use segments::take_segments;
pub use services::ask_services;
pub use storage_use::{BASE_NAME, use_image};
