//! No room, many clusters, and all that.
use super::*;
use crate::Repair;
use platform::DiskError;

/// A file that may not become longer than it is allowed to: like a full file system, and without one.
#[test]
fn without_room_the_image_stays_sound() {
    let Some(place) = small_file_system() else {
        eprintln!("skipped: GASANG_SMALL_FS names no small file system");
        return;
    };
    for layout in LAYOUTS {
        let path = place.join("image");
        let _ = std::fs::remove_file(&path);
        let image = Qcow2Image::create(HostFile::create(&path).unwrap(), 64 << 20, None, layout).unwrap();
        let mut dice = Dice(5);
        let mut full = 0;
        let mut written = std::collections::BTreeSet::new();
        for step in 0..30_000 {
            let offset = dice.roll(16 << 10) * 4096;
            match image.write(offset, Buffers::of_bytes(vec![7; 4096]).all()) {
                Ok(()) => _ = written.insert(offset),
                Err(DiskError::NoSpace(_)) => full += 1,
                Err(error) => panic!("{error:?}"),
            }
            if step % 500 == 0 {
                let flushed = image.flush();
                assert!(matches!(flushed, Ok(()) | Err(DiskError::NoSpace(_))), "{flushed:?}");
            }
            if full > 200 {
                break;
            }
        }
        assert!(full > 200, "{layout:?}");
        std::fs::remove_file(place.join("ballast")).unwrap();
        image.flush().unwrap();
        for offset in &written {
            assert_eq!(read(&image, *offset, 4096), [7; 4096]);
        }
        assert!(image.check(Repair::None).unwrap().is_clean());
        drop(image);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(place.join("ballast"), vec![1; 2 << 20]).unwrap();
    }
}

fn small_file_system() -> Option<PathBuf> {
    let place = PathBuf::from(std::env::var_os("GASANG_SMALL_FS")?);
    std::fs::write(place.join("ballast"), vec![1; 2 << 20]).ok()?;
    Some(place)
}

#[test]
fn refcount_tables_grow() {
    let place = Place::new();
    // A table of one cluster counts 64 * 64 clusters of 512 bytes, which are 2 MiB.
    let image = place.create("image", 64 << 20, LAYOUTS[1]);
    for offset in (0..40 << 20).step_by(1 << 20) {
        write(&image, offset, &vec![5; 1 << 20]);
    }
    image.flush().unwrap();
    assert!(image.check(Repair::None).unwrap().is_clean());
    drop(image);
    let image = open(&place.path("image"), false);
    assert!(read(&image, 0, 40 << 20).iter().all(|byte| *byte == 5));
    let before = image.info().unwrap().allocated;
    image.discard(0, 40 << 20).unwrap();
    image.flush().unwrap();
    assert!(image.info().unwrap().allocated < before / 2);
    drop(image);
    if has_qemu() {
        place.qemu_img("check image");
    }
}

#[test]
fn large_disks_grow_their_l1_table() {
    let place = Place::new();
    let image = place.create("image", 1 << 30, Layout::default());
    write(&image, (1 << 30) - 4096, &[1; 4096]);
    image.resize(1 << 45).unwrap();
    write(&image, (1 << 45) - 512, &[2; 512]);
    assert_eq!(read(&image, (1 << 30) - 4096, 4096), [1; 4096]);
    image.resize(1 << 40).unwrap();
    image.resize(1 << 45).unwrap();
    assert_eq!(read(&image, (1 << 45) - 512, 512), [0; 512]);
    assert!(image.resize(1 << 60).is_err());
    image.discard(0, 1 << 45).unwrap();
    drop(image);
    if has_qemu() {
        place.qemu_img("check image");
    }
}

#[test]
fn freed_room_is_used_again() {
    let place = Place::new();
    let image = place.create("image", 64 << 20, Layout::default());
    for round in 0..10 {
        write(&image, round * (4 << 20), &vec![1; 4 << 20]);
        image.flush().unwrap();
        image.discard(round * (4 << 20), 4 << 20).unwrap();
        image.flush().unwrap();
    }
    assert!(image.info().unwrap().file_length < 10 << 20);
    assert_eq!(read(&image, 0, 64 << 20).iter().filter(|byte| **byte != 0).count(), 0);
}
