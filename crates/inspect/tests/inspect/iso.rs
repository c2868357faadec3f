//! ISO 9660: a small image made by hand, and larger ones by the host's tools.
use std::fs;
use std::os::unix::fs::symlink;

use gasang_inspect::{EntryKind, FileSystemKind, InspectError, Time};

use super::disk::{disk, entry, names, open, read};
use super::tools;

const SECTOR: usize = 2048;
const DIRECTORY: u8 = 2;

/// A record of a directory.
fn record(name: &[u8], block: u32, length: u32, flags: u8, extensions: &[u8]) -> Vec<u8> {
    let mut record = vec![0; 33];
    record[2..6].copy_from_slice(&block.to_le_bytes());
    record[10..14].copy_from_slice(&length.to_le_bytes());
    record[18..25].copy_from_slice(&[70, 1, 2, 0, 0, 0, 0]);
    record[25] = flags;
    record[32] = name.len() as u8;
    record.extend_from_slice(name);
    record.resize(record.len().next_multiple_of(2), 0);
    record.extend_from_slice(extensions);
    record[0] = record.len() as u8;
    record
}

fn put(image: &mut [u8], sector: usize, bytes: &[&[u8]]) {
    let bytes = bytes.concat();
    image[sector * SECTOR..][..bytes.len()].copy_from_slice(&bytes);
}

/// The extensions with a mode and a name.
fn unix(mode: u32, name: &[u8]) -> Vec<u8> {
    let mode = [mode.to_le_bytes(), mode.to_be_bytes()].concat();
    [b"PX\x0c\x01", mode.as_slice(), b"NM", &[name.len() as u8 + 5, 1, 0], name].concat()
}

/// A directory, two files, one of them in two pieces, and a link.
pub fn image(is_unix: bool) -> Vec<u8> {
    let mut image = vec![0; 32 * SECTOR];
    let extras = |mode, name: &[u8]| if is_unix { unix(mode, name) } else { Vec::new() };
    let marks: &[u8] = if is_unix { b"SP\x07\x01\xbe\xef\x00" } else { b"" };
    let root = record(b"\0", 20, 2048, DIRECTORY, &[]);
    put(&mut image, 16, &[b"\x01CD001\x01"]);
    image[16 * SECTOR + 40..][..32].copy_from_slice(b"DISC                            ");
    image[16 * SECTOR + 128..][..2].copy_from_slice(&2048_u16.to_le_bytes());
    image[16 * SECTOR + 156..][..34].copy_from_slice(&root);
    put(&mut image, 17, &[b"\xffCD001\x01"]);
    let link = [extras(0o120_777, b"link").as_slice(), b"SL\x0e\x01\x00\x00\x03etc\x00\x02up"].concat();
    put(
        &mut image,
        20,
        &[
            &record(b"\0", 20, 2048, DIRECTORY, marks),
            &record(b"\x01", 20, 2048, DIRECTORY, &[]),
            &record(b"ETC", 21, 2048, DIRECTORY, &extras(0o040_755, b"etc")),
            &record(b"LINK.;1", 0, 0, 0, if is_unix { &link } else { &[] }),
            &record(b"PIECES.TXT;1", 22, 2048, 0x80, &extras(0o100_644, b"Pieces.text")),
            &record(b"PIECES.TXT;1", 24, 3, 0, &[]),
        ],
    );
    put(
        &mut image,
        21,
        &[
            &record(b"\0", 21, 2048, DIRECTORY, &[]),
            &record(b"\x01", 20, 2048, DIRECTORY, &[]),
            &record(b"UP.;1", 25, 5, 0, &extras(0o100_600, b"up")),
        ],
    );
    put(&mut image, 22, &[&[b'x'; SECTOR]]);
    put(&mut image, 24, &[b"end"]);
    put(&mut image, 25, &[b"upper"]);
    image
}

#[test]
fn plain_names_are_read() {
    let disk = disk(image(false));
    let found = gasang_inspect::survey(&disk).unwrap().partitions[0].file_system.clone().unwrap();
    assert_eq!((found.kind, found.label.as_deref()), (FileSystemKind::Iso9660, Some("DISC")));
    let mut files = open(&disk).unwrap();
    assert_eq!(names(&mut files, "/"), ["ETC", "LINK", "PIECES.TXT"]);
    assert_eq!(read(&mut files, "/etc/up").unwrap(), b"upper");
    assert_eq!(read(&mut files, "pieces.txt").unwrap().len(), 2051);
    assert_eq!(entry(&mut files, "/", "PIECES.TXT").size, 2051);
    assert_eq!(entry(&mut files, "/ETC", "UP").modified, Some(Time(86_400)));
}

#[test]
fn names_of_unix_are_read() {
    let mut files = open(&disk(image(true))).unwrap();
    assert_eq!(names(&mut files, "/"), ["Pieces.text", "etc", "link"]);
    assert_eq!(entry(&mut files, "/", "etc").mode_text(), "drwxr-xr-x");
    assert_eq!(entry(&mut files, "/", "link").name_text(), "link -> etc/up");
    assert_eq!(read(&mut files, "/link").unwrap(), b"upper");
    assert!(read(&mut files, "/Pieces.text").unwrap().ends_with(b"xend"));
    assert!(read(&mut files, "/LINK").unwrap_err().is_missing());
    assert!(matches!(read(&mut files, "/etc/up/more"), Err(InspectError::NotADirectory(_))));
}

#[test]
fn images_of_the_usual_tools_are_read() {
    let place = tempfile::tempdir().unwrap();
    let (tree, image) = (place.path().join("tree"), place.path().join("image"));
    let deep = "a/b/c/d/e/f/g/h/i/j";
    fs::create_dir_all(tree.join(deep)).unwrap();
    fs::write(tree.join(deep).join("file"), "deep").unwrap();
    let long = "n".repeat(200);
    fs::write(tree.join(&long), "long").unwrap();
    symlink(format!("../{}/", deep.repeat(9)), tree.join("link")).unwrap();
    let (tree, image) = (tree.to_str().unwrap(), image.to_str().unwrap());
    if !tools::run("genisoimage", &["-quiet", "-R", "-o", image, tree]) {
        return;
    }
    let mut files = open(&disk(fs::read(image).unwrap())).unwrap();
    assert_eq!(read(&mut files, &format!("{deep}/file")).unwrap(), b"deep");
    assert_eq!(read(&mut files, &long).unwrap(), b"long");
    let link = entry(&mut files, "/", "link");
    assert_eq!(link.kind, EntryKind::Symlink);
    assert_eq!(String::from_utf8(link.target.unwrap()).unwrap(), format!("../{}", deep.repeat(9)));

    tools::run("genisoimage", &["-quiet", "-J", "-joliet-long", "-D", "-o", image, tree]);
    let mut files = open(&disk(fs::read(image).unwrap())).unwrap();
    assert_eq!(read(&mut files, &format!("{deep}/file")).unwrap(), b"deep");
    assert_eq!(read(&mut files, &long[..103]).unwrap(), b"long");
}
