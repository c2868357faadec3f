//! What is on a disk.
use std::sync::Arc;

use platform::DiskBackend;
use serde::Serialize;

use crate::partitions::{gpt, mbr};
use crate::{DiskView, FileSystemKind, InspectError, Partition, Scheme, file_system};

/// A disk's partitions and their file systems.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Survey {
    /// How it is divided; `None` if it is not.
    pub scheme: Option<Scheme>,
    /// Its partitions in the table's order. A file system on the whole disk comes first, without a number.
    pub partitions: Vec<Partition>,
}

/// Looks at a disk. File systems are named by their superblocks; nothing else of them is read.
pub fn survey(disk: &Arc<dyn DiskBackend>) -> Result<Survey, InspectError> {
    let mut view = DiskView::whole(disk);
    let whole = whole_disk(&mut view)?;
    let whole_kind = whole.file_system.as_ref().map(|found| found.kind);
    let (scheme, mut partitions) = match table(&mut view, whole_kind)? {
        Some((scheme, partitions)) => (Some(scheme), partitions),
        None => (None, Vec::new()),
    };
    for partition in &mut partitions {
        let mut part = DiskView::new(disk, partition.start, partition.length);
        partition.file_system = file_system::identify(&mut part).map_err(InspectError::Disk)?;
    }
    // Images of CDs that boot from a stick as well have both. What else seems to be there is left from earlier days.
    let is_whole = partitions.is_empty() || whole_kind == Some(FileSystemKind::Iso9660);
    if is_whole && whole_kind.is_some() {
        partitions.insert(0, whole);
    }
    Ok(Survey { scheme, partitions })
}

fn whole_disk(view: &mut DiskView) -> Result<Partition, InspectError> {
    Ok(Partition {
        number: None,
        start: 0,
        length: view.length(),
        type_name: "whole disk".to_owned(),
        name: None,
        file_system: file_system::identify(view).map_err(InspectError::Disk)?,
    })
}

fn table(
    view: &mut DiskView,
    whole: Option<FileSystemKind>,
) -> Result<Option<(Scheme, Vec<Partition>)>, InspectError> {
    if let Some(partitions) = gpt::read(view).map_err(InspectError::Disk)? {
        return Ok(Some((Scheme::Gpt, partitions)));
    }
    // Boot code of such a file system stands where the table would be.
    if whole.is_some_and(FileSystemKind::owns_first_sector) {
        return Ok(None);
    }
    let partitions = mbr::read(view).map_err(InspectError::Disk)?;
    Ok(partitions.map(|partitions| (Scheme::Mbr, partitions)))
}

impl Survey {
    /// Partitions that can be looked into.
    pub fn readable(&self) -> impl Iterator<Item = &Partition> {
        let is_readable = |partition: &&Partition| {
            partition.file_system.as_ref().is_some_and(|found| found.kind.is_readable())
        };
        self.partitions.iter().filter(is_readable)
    }
    /// The partition of a number; without one, the largest that can be looked into.
    pub fn choose(&self, number: Option<u32>) -> Result<&Partition, InspectError> {
        let Some(number) = number else {
            let largest = self.readable().max_by_key(|partition| partition.length);
            return largest.ok_or_else(|| self.nothing_to_look_into());
        };
        let found = self.partitions.iter().find(|partition| partition.number == Some(number));
        found.ok_or(InspectError::NoPartition(number))
    }

    /// Names the file system if there is only one.
    fn nothing_to_look_into(&self) -> InspectError {
        let mut found = self.partitions.iter().filter_map(|partition| partition.file_system.as_ref());
        match (found.next(), found.next()) {
            (Some(only), None) => InspectError::CannotLookInto(only.kind),
            _ => InspectError::NothingToLookInto,
        }
    }
}
