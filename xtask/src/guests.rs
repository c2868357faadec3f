//! The guests that tests, demo and benchmarks boot, kept under `target/guests`.
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use manager::cache::Cache;
use manager::images::Images;

use crate::project;

/// Where they are kept.
pub fn directory() -> PathBuf {
    project::target().join("guests")
}

/// Lets `work` use the guests, with a sign of life on long steps.
pub fn with_images<T>(work: impl FnOnce(&Images) -> T) -> T {
    let bar = ProgressBar::new_spinner();
    bar.set_style(
        ProgressStyle::with_template("{spinner} {msg} [{elapsed}]").expect("the template is valid"),
    );
    let say = |step: &str| {
        if bar.is_hidden() {
            eprintln!("{step} …");
        } else {
            bar.set_message(step.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
        }
    };
    let result = work(&Images::new(Cache::at(directory()), say));
    bar.finish_and_clear();
    result
}
