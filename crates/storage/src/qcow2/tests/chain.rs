//! Backing files.
use super::*;
use crate::{CreateOptions, create};

/// An image in front of another.
fn overlay(place: &Place, name: &str, backing: &str, format: Format, length: u64) -> Qcow2Image {
    let backing = (PathBuf::from(backing), format);
    let made = patiently(|| {
        let _ = std::fs::remove_file(place.path(name));
        let file = HostFile::create(&place.path(name))?;
        Qcow2Image::create(file, length, Some(&backing), Layout::default())
    });
    made.unwrap()
}

fn try_open(path: &Path) -> Result<Box<dyn Image>, ImageError> {
    patiently(|| crate::open(path, OpenOptions::read_only()))
}

#[test]
fn chains_of_three() {
    let place = Place::new();
    std::fs::write(place.path("base"), vec![1; 1 << 20]).unwrap();
    let middle = overlay(&place, "middle", "base", Format::Raw, 2 << 20);
    write(&middle, 512 << 10, &[2; 512 << 10]);
    write(&middle, 1 << 20, &[2; 4096]);
    drop(middle);
    let top = overlay(&place, "top", "middle", Format::Qcow2, 3 << 20);
    write(&top, 4096, &[3; 512]);
    write(&top, 64 << 10, &[4; 64 << 10]);
    top.discard(64 << 10, 64 << 10).unwrap();
    top.flush().unwrap();
    let bytes = read(&top, 0, 3 << 20);
    let at = |offset: usize| bytes[offset];
    assert_eq!((at(0), at(4096), at(4608), at(70 << 10)), (1, 3, 1, 0));
    assert_eq!((at(600 << 10), at(1 << 20), at((1 << 20) + 4096), at(5 << 19)), (2, 2, 0, 0));
    drop(top);
    if has_qemu() {
        place.qemu_img("check top");
        place.qemu_img("convert -O raw top raw");
        assert_same(&bytes, &std::fs::read(place.path("raw")).unwrap(), "top");
        assert!(place.qemu_img("info top").contains("backing file format: qcow2"));
    }
}

#[test]
fn growing_does_not_show_what_is_behind() {
    let place = Place::new();
    std::fs::write(place.path("base"), vec![1; 1 << 20]).unwrap();
    let image = overlay(&place, "image", "base", Format::Raw, 512 << 10);
    image.resize(100 << 10).unwrap();
    image.resize(2 << 20).unwrap();
    let bytes = read(&image, 0, 2 << 20);
    assert!(bytes[..100 << 10].iter().all(|byte| *byte == 1));
    assert!(bytes[100 << 10..].iter().all(|byte| *byte == 0));
}

#[test]
fn nothing_outside_the_directory_is_read() {
    let place = Place::new();
    std::fs::create_dir(place.path("inside")).unwrap();
    std::fs::write(place.path("secret"), vec![1; 4096]).unwrap();
    std::os::unix::fs::symlink("../secret", place.path("inside/link")).unwrap();
    let absolute = place.path("secret");
    for (name, backing) in [("a", "../secret"), ("b", "link"), ("c", absolute.to_str().unwrap())] {
        drop(overlay(&place, &format!("inside/{name}"), backing, Format::Raw, 4096));
        let result = try_open(&place.path(&format!("inside/{name}")));
        assert!(matches!(result, Err(ImageError::BackingOutside { .. })), "{backing}");
        let anywhere = OpenOptions { backing: BackingPolicy::Anywhere, ..OpenOptions::read_only() };
        let image = patiently(|| crate::open(&place.path(&format!("inside/{name}")), anywhere)).unwrap();
        assert_eq!(read(image.as_ref(), 0, 512), [1; 512]);
    }
}

#[test]
fn circles_and_long_chains_are_refused() {
    let place = Place::new();
    std::fs::write(place.path("0"), vec![1; 4096]).unwrap();
    for index in 1..=66 {
        let format = if index == 1 { Format::Raw } else { Format::Qcow2 };
        let path = place.path(&index.to_string());
        let backing = (PathBuf::from((index - 1).to_string()), format);
        let made = patiently(|| {
            let _ = std::fs::remove_file(&path);
            Qcow2Image::create(HostFile::create(&path)?, 4096, Some(&backing), Layout::default())
        });
        assert_eq!(made.is_ok(), index <= 64, "{index}");
    }
    assert!(try_open(&place.path("64")).is_ok());
    assert!(matches!(try_open(&place.path("65")), Err(ImageError::BackingChain { .. })));
    std::fs::remove_file(place.path("0")).unwrap();
    std::fs::copy(place.path("2"), place.path("0")).unwrap();
    std::fs::remove_file(place.path("1")).unwrap();
    std::os::unix::fs::symlink("0", place.path("1")).unwrap();
    assert!(matches!(try_open(&place.path("1")), Err(ImageError::BackingChain { .. })));
    assert!(matches!(try_open(&place.path("2")), Err(ImageError::BackingChain { .. })));
}

#[test]
fn circles_are_told_from_images_in_use() {
    let place = Place::new();
    drop(place.create("x", 4096, Layout::default()));
    drop(overlay(&place, "b", "x", Format::Qcow2, 4096));
    drop(overlay(&place, "a", "b", Format::Qcow2, 4096));
    std::fs::remove_file(place.path("x")).unwrap();
    std::os::unix::fs::symlink("a", place.path("x")).unwrap();
    let result = patiently(|| crate::open(&place.path("a"), OpenOptions::writable()));
    assert!(matches!(result, Err(ImageError::BackingChain { .. })));
}

#[test]
fn failed_creation_leaves_nothing() {
    let place = Place::new();
    let backing = Some((PathBuf::from("missing"), Format::Raw));
    let options = CreateOptions { format: Format::Qcow2, length: 4096, backing };
    assert!(create(&place.path("image"), &options).is_err());
    assert!(!place.path("image").exists());
    let options = CreateOptions { backing: None, ..options };
    let image = create(&place.path("image"), &options).unwrap();
    let info = image.info().unwrap();
    assert_eq!((info.variant.as_deref(), info.cluster, info.length), (Some("v3"), Some(65536), 4096));
}
