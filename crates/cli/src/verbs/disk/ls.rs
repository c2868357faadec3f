//! `gasang disk ls`.
use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use inspect::{Entry, Partition, Survey, Time, printable};
use storage::Format;

use super::inside::{self, Place};
use crate::exit::Code;
use crate::output;
use crate::quantity::show_size;

#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  gasang disk ls data.qcow2\n  gasang disk ls data.qcow2 /etc\n  \
                         gasang disk ls data.qcow2 1:/EFI\n\n\
                         Reads ext2, ext3, ext4, FAT, NTFS and ISO 9660; others are named. Nothing is mounted, and the \
                         image stays as it is.")]
pub struct Ls {
    /// The image
    image: PathBuf,
    /// A directory to list; without a number, on the largest partition that can be looked into
    #[arg(value_name = "[PARTITION:]PATH")]
    place: Option<OsString>,
    /// Format of the image [default: by what is in it]
    #[arg(long, value_name = "FORMAT")]
    image_format: Option<Format>,
    /// How to print it
    #[arg(long, default_value = "table")]
    format: output::Format,
}

impl Ls {
    /// Prints what is there.
    pub fn execute(self) -> anyhow::Result<Code> {
        let disk = inside::open(&self.image, self.image_format)?;
        match self.place.map(Place::from) {
            None => output::print(self.format, &inspect::survey(&disk)?, partitions)?,
            Some(place) => {
                let entries = inside::files(&disk, &place)?.list(&place.path)?;
                output::print(self.format, &entries, |entries| directory(entries))?;
            }
        }
        Ok(Code::OK)
    }
}

fn partitions(survey: &Survey) -> String {
    let row = |partition: &Partition| {
        let found = partition.file_system.as_ref();
        let label = found.and_then(|found| found.label.as_ref()).or(partition.name.as_ref());
        vec![
            partition.number.map_or_else(|| "-".to_owned(), |number| number.to_string()),
            show_size(partition.start),
            show_size(partition.length),
            partition.type_name.clone(),
            found.map_or("-", |found| found.kind.name()).to_owned(),
            label.map_or_else(|| "-".to_owned(), |label| printable(label.as_bytes())),
        ]
    };
    output::table(
        &["NUMBER", "START", "SIZE", "TYPE", "FILESYSTEM", "LABEL"],
        &survey.partitions.iter().map(row).collect::<Vec<_>>(),
    )
}

fn directory(entries: &[Entry]) -> String {
    let width = entries.iter().map(|entry| entry.size.to_string().len()).max().unwrap_or(0);
    let line = |entry: &Entry| {
        let Entry { size, modified, .. } = entry;
        let (mode, name) = (entry.mode_text(), entry.name_text());
        format!("{mode}  {size:>width$}  {:16}  {name}\n", minute(*modified))
    };
    entries.iter().map(line).collect()
}

/// A time without its seconds.
fn minute(time: Option<Time>) -> String {
    let text = time.map_or_else(|| "-".to_owned(), |time| time.to_string());
    text.trim_end_matches('Z').rsplit_once(':').map_or(text.clone(), |(minute, _)| minute.replace('T', " "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use inspect::EntryKind;

    #[test]
    fn directories_line_up() {
        let entry = |name: &str, size, modified, target: Option<&str>| Entry {
            name: name.into(),
            kind: EntryKind::File,
            mode: Some(0o644),
            size,
            modified,
            target: target.map(Into::into),
        };
        let entries = [entry("a\x1b", 3, Some(Time(0)), None), entry("b", 12345, None, Some("a"))];
        assert_eq!(
            directory(&entries),
            "-rw-r--r--      3  1970-01-01 00:00  a\\u{1b}\n\
             -rw-r--r--  12345  -                 b -> a\n"
        );
    }
}
