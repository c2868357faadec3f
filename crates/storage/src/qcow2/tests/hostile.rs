//! Images whose tables are rubbish: errors, but no panics and no endless memory.
use super::*;
use crate::Repair;

/// Small images of all kinds.
fn seeds() -> Vec<Vec<u8>> {
    let mut images = Vec::new();
    for layout in LAYOUTS {
        let place = Place::new();
        let image = place.create("image", 5 << 20, layout);
        let cluster = 1 << layout.cluster_bits;
        for offset in [0, cluster, 600 << 10] {
            write(&image, offset, &[7; 1024]);
        }
        image.write_zeroes(cluster * 2, cluster.min(64 << 10), true).unwrap();
        drop(image);
        images.push(std::fs::read(place.path("image")).unwrap());
    }
    if has_qemu() {
        for options in ["-c", "-c -o compression_type=zstd", "-c -o extended_l2=on", "-o compat=0.10"] {
            let place = Place::new();
            std::fs::write(place.path("raw"), vec![3; 300 << 10]).unwrap();
            place.qemu_img(&format!("convert -O qcow2 {options} raw image"));
            place.qemu_img("snapshot -c one image");
            images.push(std::fs::read(place.path("image")).unwrap());
        }
    }
    images
}

/// Changes a few bytes, most of them where something is.
fn damage(bytes: &mut [u8], used: &[usize], dice: &mut Dice) {
    for _ in 0..1 + dice.roll(6) {
        let at = match dice.roll(4) {
            0 => dice.roll(120) as usize,
            _ => used[dice.roll(used.len() as u64) as usize] + dice.roll(8) as usize,
        };
        if let Some(byte) = bytes.get_mut(at) {
            *byte = match dice.roll(3) {
                0 => *byte ^ 1 << dice.roll(8),
                1 => 0xff,
                _ => dice.roll(256) as u8,
            };
        }
    }
}

fn use_it(path: &Path, read_only: bool) -> Result<(), ImageError> {
    let options =
        OpenOptions { read_only, format: Some(Format::Qcow2), backing: BackingPolicy::SameDirectory };
    let image = patiently(|| Qcow2Image::open(HostFile::open(path, read_only)?, options, 0))?;
    let length = image.length().min(4 << 20);
    let buffers = Buffers::of_bytes(vec![1; 128 << 10]);
    for offset in (0..length).step_by(128 << 10) {
        let part = buffers.part(0..(length - offset) as usize);
        let _ = image.read(offset, part);
        let _ = image.extent(offset);
    }
    image.check(Repair::None)?;
    if read_only {
        return Ok(());
    }
    for offset in (0..length).step_by(256 << 10) {
        let part = buffers.part(0..(length - offset).min(2048) as usize);
        let _ = image.write(offset, part);
        let _ = image.write_zeroes(offset, length - offset, false);
        let _ = image.discard(offset / 2, (length - offset) / 512 * 512);
        let _ = image.write(offset, part);
        let _ = image.flush();
    }
    let _ = image.resize(length / 1024 * 512);
    let _ = image.resize(2 << 20);
    image.check(Repair::Leaks)?;
    image.check(Repair::All)?;
    let after = image.check(Repair::All)?;
    if after.corruption_count == 0 {
        image.write(0, buffers.part(0..512))?;
    }
    Ok(())
}

#[test]
fn damaged_tables_do_no_harm() {
    let place = Place::new();
    let path = place.path("image");
    let mut dice = Dice(20_240_601);
    let count: u64 = std::env::var("GASANG_HOSTILE").ok().and_then(|text| text.parse().ok()).unwrap_or(300);
    for seed in seeds() {
        // Metadata are where something is.
        let used: Vec<usize> = (0..seed.len())
            .step_by(8)
            .filter(|at| seed[*at..].iter().take(8).any(|byte| *byte != 0))
            .collect();
        let used: Vec<usize> = used.iter().copied().filter(|at| seed[*at..][..4] != [7; 4]).collect();
        // Large ones take long.
        let count = if seed.len() > 4 << 20 { count / 20 } else { count };
        for round in 0..count {
            let mut bytes = seed.clone();
            damage(&mut bytes, &used, &mut dice);
            std::fs::write(&path, &bytes).unwrap();
            let _ = use_it(&path, round.is_multiple_of(4));
        }
    }
}

#[test]
fn what_is_not_supported_says_so() {
    let place = Place::new();
    drop(place.create("image", 1 << 20, Layout::default()));
    let good = std::fs::read(place.path("image")).unwrap();
    let opened = |at: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        std::fs::write(place.path("image"), &bad).unwrap();
        match patiently(|| crate::open(&place.path("image"), OpenOptions::writable())) {
            Ok(_) => "opened".to_owned(),
            Err(error) => error.to_string(),
        }
    };
    assert_eq!(opened(0, b"QFI"), "opened");
    assert!(opened(35, &[2]).contains("needs LUKS encryption"));
    assert!(opened(79, &[4]).contains("needs a data file of its own"));
    assert!(opened(79, &[32]).contains("needs incompatible feature 5"));
    let named = [0x68, 3, 0xf8, 0x57, 0, 0, 0, 48, 0, 5, b's', b'h', b'i', b'n', b'y'];
    let mut with_name = good[72..112].to_vec();
    with_name[7] = 32;
    with_name.extend(named);
    assert!(opened(72, &with_name).contains("needs the feature \"shiny\""));
    assert!(opened(7, &[4]).contains("needs version 4"));
    assert!(opened(23, &[22]).contains("clusters of 2^22 bytes"));
    assert!(opened(40, &[0x7f]).contains("an L1 table of"));
    assert!(opened(99, &[7]).contains("refcounts of 2^7 bits"));
    assert!(opened(24, &[0x10]).contains("too small for the disk"));
}

#[test]
fn corrupt_images_are_repaired_before_they_are_written() {
    let place = Place::new();
    let image = place.create("image", 1 << 20, Layout::default());
    write(&image, 0, &[1; 4096]);
    drop(image);
    let mut bytes = std::fs::read(place.path("image")).unwrap();
    bytes[79] = 2;
    std::fs::write(place.path("image"), &bytes).unwrap();
    let image = open(&place.path("image"), false);
    let data = Buffers::of_bytes(vec![2; 512]);
    let refused = image.write(0, data.all()).unwrap_err().to_string();
    assert!(refused.contains("marked as corrupt"), "{refused}");
    assert_eq!(read(&image, 0, 512), [1; 512]);
    image.check(Repair::All).unwrap();
    image.write(0, data.all()).unwrap();
    drop(image);
    assert!(open(&place.path("image"), true).check(Repair::None).unwrap().is_clean());
}

#[test]
fn wrong_refcounts_are_mended() {
    let place = Place::new();
    for layout in LAYOUTS {
        let _ = std::fs::remove_file(place.path("image"));
        let image = place.create("image", 1 << 20, layout);
        write(&image, 0, &vec![1; 1 << 20]);
        let block = image.mapping.lock().refcounts.table()[0] as usize;
        drop(image);
        let mut bytes = std::fs::read(place.path("image")).unwrap();
        bytes[block..block + 8].fill(0);
        bytes[block + 32] = 0x11;
        std::fs::write(place.path("image"), &bytes).unwrap();
        let image = open(&place.path("image"), false);
        let report = image.check(Repair::All).unwrap();
        assert!(report.corruption_count > 0 && report.mended >= report.corruption_count, "{report:?}");
        assert!(image.check(Repair::None).unwrap().is_clean());
        drop(image);
        if has_qemu() {
            place.qemu_img("check image");
            place.qemu_io("image", &["read -P 1 0 1M"]);
        }
    }
}
