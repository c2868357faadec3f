//! NTFS, made by `mkntfs` and `ntfscp`.
use std::fs;

use gasang_inspect::{FileSystemKind, InspectError};

use super::disk::{disk, names, open, read};
use super::tools;

/// An image with two files; `None` without the tools.
pub fn image() -> Option<Vec<u8>> {
    let place = tempfile::tempdir().unwrap();
    let (image, file) = (place.path().join("image"), place.path().join("file"));
    fs::write(&image, vec![0; 4 << 20]).unwrap();
    let (image, file) = (image.to_str().unwrap(), file.to_str().unwrap());
    if !tools::run("mkntfs", &["-q", "-F", "-f", "-L", "Windows", "-c", "512", image]) {
        return None;
    }
    for (name, bytes) in [("small.txt", b"small".to_vec()), ("Large File", large())] {
        fs::write(file, bytes).unwrap();
        if !tools::run("ntfscp", &["-f", "-q", image, file, name]) {
            return None;
        }
    }
    Some(fs::read(image).unwrap())
}

fn large() -> Vec<u8> {
    (0..100_000_u32).flat_map(u32::to_le_bytes).collect()
}

#[test]
fn files_are_read() {
    let Some(image) = image() else { return };
    let disk = disk(image);
    let survey = gasang_inspect::survey(&disk).unwrap();
    assert_eq!(survey.partitions.len(), 1, "{survey:?}");
    let kind = survey.partitions[0].file_system.as_ref().map(|found| found.kind);
    assert_eq!(kind, Some(FileSystemKind::Ntfs));
    let mut files = open(&disk).unwrap();
    let all = names(&mut files, "/");
    assert!(["$MFT", "Large File", "small.txt"].iter().all(|name| all.iter().any(|n| n == name)), "{all:?}");
    assert!(!all.iter().any(|name| name == "."));
    assert_eq!(read(&mut files, "/SMALL.TXT").unwrap(), b"small");
    assert_eq!(read(&mut files, "/large file").unwrap(), large());
    assert!(read(&mut files, "/$Extend/nothing").unwrap_err().is_missing());
    assert!(matches!(read(&mut files, "/$Extend"), Err(InspectError::NotAFile(_))));
    assert!(matches!(read(&mut files, "/small.txt/more"), Err(InspectError::NotADirectory(_))));
}
