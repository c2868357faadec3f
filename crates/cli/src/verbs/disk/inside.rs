//! Places inside images: `/etc` or `1:/etc`.
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::Arc;

use inspect::{Files, Partition, Survey};
use platform::DiskBackend;
use storage::{Format, Image, OpenOptions};

use crate::output::say;

/// A path on a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The partition; `None` for the one that is largest.
    pub partition: Option<u32>,
    /// The path from the root on.
    pub path: Vec<u8>,
}

impl From<OsString> for Place {
    fn from(text: OsString) -> Self {
        let mut path = text.into_vec();
        let colon = path.iter().position(|byte| !byte.is_ascii_digit()).filter(|at| path[*at] == b':');
        let digits = colon.and_then(|colon| std::str::from_utf8(&path[..colon]).ok());
        let partition = digits.and_then(|digits| digits.parse().ok());
        if let (Some(_), Some(colon)) = (partition, colon) {
            path.drain(..=colon);
        }
        Self { partition, path }
    }
}

/// Opens an image for reading.
pub fn open(image: &Path, format: Option<Format>) -> anyhow::Result<Arc<dyn DiskBackend>> {
    let image: Arc<dyn Image> =
        Arc::from(storage::open(image, OpenOptions { format, ..OpenOptions::read_only() })?);
    Ok(image)
}

/// Opens the file system of a place, and says which it is if it could have been another.
pub fn files(disk: &Arc<dyn DiskBackend>, place: &Place) -> anyhow::Result<Files> {
    let survey = inspect::survey(disk)?;
    let chosen = survey.choose(place.partition)?;
    if place.partition.is_none() {
        say_which(&survey, chosen);
    }
    Ok(Files::open(disk, chosen)?)
}

fn say_which(survey: &Survey, chosen: &Partition) {
    let number = |partition: &Partition| partition.number;
    let others: Vec<String> = survey
        .readable()
        .filter(|other| *other != chosen)
        .filter_map(number)
        .map(|n| n.to_string())
        .collect();
    if others.is_empty() {
        return;
    }
    let which = chosen.number.map_or_else(|| "the whole disk".to_owned(), |n| format!("partition {n}"));
    say(&format!("this is {which}; others are {} (write for example {}:/)", others.join(", "), others[0]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_name_partitions() {
        for (text, partition, path) in [
            ("/etc", None, "/etc"),
            ("1:/etc", Some(1), "/etc"),
            ("12:", Some(12), ""),
            ("a:/b", None, "a:/b"),
            (":/b", None, ":/b"),
            ("99999999999:/b", None, "99999999999:/b"),
            ("12", None, "12"),
        ] {
            assert_eq!(Place::from(OsString::from(text)), Place { partition, path: path.into() }, "{text}");
        }
    }
}
