//! ext2, ext3 and ext4, made by `mke2fs`.
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use gasang_inspect::{EntryKind, FileSystemKind, InspectError};

use super::disk::{disk, entry, names, open, read};
use super::tools;

/// An image with the files of [`fill`]; `None` without the tool.
pub fn image(kind: &str) -> Option<Vec<u8>> {
    let place = tempfile::tempdir().unwrap();
    let (tree, image) = (place.path().join("tree"), place.path().join("image"));
    fill(&tree);
    let uuid = "01234567-89ab-cdef-0123-456789abcdef";
    let (tree, image) = (tree.to_str().unwrap(), image.to_str().unwrap());
    let made = tools::run(
        "mke2fs",
        &["-q", "-F", "-t", kind, "-b", "1024", "-L", "data", "-U", uuid, "-d", tree, image, "4M"],
    );
    made.then(|| fs::read(image).unwrap())
}

fn fill(tree: &Path) {
    fs::create_dir_all(tree.join("etc/deep/er")).unwrap();
    fs::create_dir_all(tree.join("many")).unwrap();
    fs::write(tree.join("etc/os-release"), "NAME=test\n").unwrap();
    fs::set_permissions(tree.join("etc/os-release"), fs::Permissions::from_mode(0o4751)).unwrap();
    fs::write(tree.join("large"), large()).unwrap();
    for number in 0..200 {
        fs::write(tree.join(format!("many/a rather long name {number:03}")), "").unwrap();
    }
    for (link, target) in [
        ("etc/absolute", "/etc/deep"),
        ("etc/deep/relative", "../os-release"),
        ("etc/round", "round"),
        ("etc/nowhere", "/nowhere"),
        ("etc/long", &"../".repeat(60)),
    ] {
        symlink(target, tree.join(link)).unwrap();
    }
}

fn large() -> Vec<u8> {
    (0..300_000_u32).flat_map(u32::to_le_bytes).collect()
}

#[test]
fn files_are_read() {
    for kind in ["ext2", "ext3", "ext4"] {
        let Some(image) = image(kind) else { return };
        let disk = disk(image);
        let survey = gasang_inspect::survey(&disk).unwrap();
        let [partition] = survey.partitions.as_slice() else { panic!("{survey:?}") };
        let found = partition.file_system.as_ref().unwrap();
        assert_eq!((found.kind.name(), found.label.as_deref()), (kind, Some("data")));
        assert_eq!(found.uuid.as_deref(), Some("01234567-89ab-cdef-0123-456789abcdef"));

        let mut files = open(&disk).unwrap();
        assert_eq!(names(&mut files, "/"), ["etc", "large", "lost+found", "many"]);
        assert_eq!(names(&mut files, "many").len(), 200);
        assert_eq!(names(&mut files, "/etc/absolute/"), ["er", "relative"]);
        assert_eq!(read(&mut files, "large").unwrap(), large());
        for path in
            ["/etc/os-release", "etc/deep/relative", "/etc/absolute/../os-release", "etc/long/etc/os-release"]
        {
            assert_eq!(read(&mut files, path).unwrap(), b"NAME=test\n", "{path}");
        }
        let release = entry(&mut files, "/etc", "os-release");
        assert_eq!((release.mode_text().as_str(), release.size), ("-rwsr-x--x", 10));
        assert!(release.modified.unwrap().to_string().starts_with("20"));
        let link = entry(&mut files, "/etc", "absolute");
        assert_eq!((link.kind, link.target.as_deref()), (EntryKind::Symlink, Some(b"/etc/deep".as_slice())));
    }
}

#[test]
fn what_is_not_there_is_said() {
    let Some(image) = image("ext4") else { return };
    let mut files = open(&disk(image)).unwrap();
    for path in ["/nothing", "/etc/nowhere", "/etc/nothing/more"] {
        assert!(read(&mut files, path).unwrap_err().is_missing(), "{path}");
    }
    assert!(matches!(read(&mut files, "/etc"), Err(InspectError::NotAFile(_))));
    assert!(matches!(read(&mut files, "/large/more"), Err(InspectError::NotADirectory(_))));
    assert!(matches!(read(&mut files, "/etc/round"), Err(InspectError::TooManyLinks(_))));
    assert!(matches!(files.list(&[b'a'; 5000]), Err(InspectError::PathTooLong(_))));
    assert_eq!(
        files.list(&[b'a'; 300]).unwrap_err().to_string(),
        format!("/{} is not there", "a".repeat(300))
    );
}

#[test]
fn what_cannot_be_looked_into_is_named() {
    let mut image = vec![0; 1 << 20];
    image[..4].copy_from_slice(b"XFSB");
    let error = open(&disk(image)).err().unwrap();
    assert!(matches!(error, InspectError::CannotLookInto(FileSystemKind::Xfs)), "{error}");
    assert!(matches!(open(&disk(vec![0; 1 << 20])), Err(InspectError::NothingToLookInto)));
    assert!(matches!(open(&disk(Vec::new())), Err(InspectError::NothingToLookInto)));
}
