//! `gasang disk ls` and `gasang disk cat`.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{errors, gasang, run};

/// The same small ext4 on two partitions, the second of which is larger; `None` on a host without the tool for it.
fn two_partitions(place: &Path) -> Option<PathBuf> {
    const SECTORS: usize = 4096;
    let (tree, part, image) = (place.join("tree"), place.join("part"), place.join("image"));
    fs::create_dir_all(tree.join("etc")).unwrap();
    fs::write(tree.join("etc/os-release"), "NAME=test\n").unwrap();
    fs::write(tree.join("etc/\u{1b}[2J"), "").unwrap();
    let mut command = Command::new("/usr/sbin/mke2fs");
    command.args(["-q", "-F", "-t", "ext4", "-L", "root", "-d"]).arg(tree).arg(&part).arg("2M");
    match command.status() {
        Ok(status) => assert!(status.success()),
        Err(error) => {
            eprintln!("skipped: mke2fs: {error}");
            return None;
        }
    }
    let part = fs::read(part).unwrap();
    let mut bytes = vec![0; 3 * SECTORS * 512];
    for (index, first, sectors) in [(0, 64, SECTORS), (1, 64 + SECTORS, SECTORS + 8)] {
        let line = &mut bytes[446 + 16 * index..][..16];
        line[4] = 0x83;
        line[8..12].copy_from_slice(&(first as u32).to_le_bytes());
        line[12..].copy_from_slice(&(sectors as u32).to_le_bytes());
        bytes[first * 512..][..part.len()].copy_from_slice(&part);
    }
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    fs::write(&image, bytes).unwrap();
    Some(image)
}

#[test]
fn files_are_seen_from_outside() {
    let place = tempfile::tempdir().unwrap();
    let Some(image) = two_partitions(place.path()) else { return };
    let image = image.to_str().unwrap();
    let output = |arguments: &[&str]| {
        let output = run(arguments);
        let messages = errors(&output, 0);
        (String::from_utf8(output.stdout).unwrap(), messages)
    };
    let (table, _) = output(&["disk", "ls", image]);
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NUMBER", "START", "SIZE", "TYPE", "FILESYSTEM", "LABEL"]);
    assert_eq!(rows[1], ["1", "32", "KiB", "2", "MiB", "Linux", "ext4", "root"]);
    assert_eq!(rows.len(), 3);

    let (listing, messages) = output(&["disk", "ls", image, "/etc"]);
    assert!(messages.contains("partition 2") && messages.contains("1:/"), "{messages}");
    assert!(listing.contains("\\u{1b}[2J\n") && !listing.contains('\u{1b}'), "{listing}");
    let (text, messages) = output(&["disk", "cat", image, "1:/etc/os-release"]);
    assert_eq!((text.as_str(), messages.as_str()), ("NAME=test\n", ""));
    let (json, _) = output(&["disk", "ls", image, "2:etc", "--format", "json"]);
    assert!(json.contains("\"name\": \"os-release\"") && json.contains("\"size\": 10"), "{json}");

    for place in ["/etc/nothing", "3:/etc/os-release"] {
        errors(&run(&["disk", "cat", image, place]), 4);
        errors(&run(&["disk", "ls", image, place]), 4);
    }
    errors(&run(&["disk", "cat", image, "/etc"]), 1);
}

#[test]
fn what_is_missing_is_not_found() {
    let place = tempfile::tempdir().unwrap();
    let (image, nothing) = (place.path().join("image"), place.path().join("nothing"));
    fs::write(&image, vec![0; 1 << 20]).unwrap();
    for image in [&image, &nothing] {
        errors(&gasang().args(["disk", "cat"]).arg(image).arg("1:/a").output().unwrap(), 4);
    }
    errors(&gasang().args(["disk", "ls"]).arg(&nothing).output().unwrap(), 4);
    errors(&gasang().args(["disk", "ls"]).arg(&image).output().unwrap(), 0);
    errors(&gasang().args(["disk", "ls"]).arg(&image).arg("/").output().unwrap(), 1);
}
