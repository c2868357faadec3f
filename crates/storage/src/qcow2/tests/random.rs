//! Random operations against a model, then against QEMU.
use super::*;
use crate::Repair;

/// What the disk should be.
struct Model {
    bytes: Vec<u8>,
    /// Sectors that were discarded: zeros or what they were.
    loose: Vec<bool>,
}

impl Model {
    fn set(&mut self, offset: u64, bytes: &[u8]) {
        self.bytes[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        self.loose[offset as usize / 512..][..bytes.len() / 512].fill(false);
    }
    fn resize(&mut self, length: u64) {
        self.bytes.resize(length as usize, 0);
        self.loose.resize(length as usize / 512, false);
    }
    /// Compares, and learns what became of discarded sectors.
    fn compare(&mut self, image: &Qcow2Image, what: &str) {
        let found = read(image, 0, self.bytes.len());
        for (index, loose) in self.loose.iter_mut().enumerate().filter(|(_, loose)| **loose) {
            let sector = &found[index * 512..][..512];
            if sector.iter().all(|byte| *byte == 0) {
                self.bytes[index * 512..][..512].fill(0);
            }
            *loose = false;
        }
        assert_same(&found, &self.bytes, what);
    }
}

/// One random change.
fn change(image: &Qcow2Image, model: &mut Model, dice: &mut Dice, unit: u64) {
    let sectors = model.bytes.len() as u64 / 512;
    let start = dice.roll(sectors);
    let most = if dice.roll(3) == 0 { unit * 5 / 512 } else { 16 };
    let (offset, count) = (start * 512, (1 + dice.roll(most.max(1))).min(sectors - start));
    let length = count * 512;
    match dice.roll(100) {
        0..60 => {
            let bytes: Vec<u8> = (0..length).map(|at| (at / 512 + dice.roll(256)) as u8).collect();
            write(image, offset, &bytes);
            model.set(offset, &bytes);
        }
        60..75 => {
            image.write_zeroes(offset, length, dice.roll(2) == 0).unwrap();
            model.set(offset, &vec![0; length as usize]);
        }
        75..85 => {
            image.discard(offset, length).unwrap();
            model.loose[start as usize..][..count as usize].fill(true);
        }
        85..95 => image.flush().unwrap(),
        95..98 => model.compare(image, "in the middle"),
        _ => {
            model.compare(image, "before a change of the length");
            let length = ((sectors / 2 + dice.roll(sectors)) * 512).clamp(512, 24 << 20);
            image.resize(length).unwrap();
            model.resize(length);
        }
    }
}

/// Many changes, with the image closed and opened in between.
fn soak(place: &Place, layout: Layout, seed: u64, backing: Option<Vec<u8>>) {
    let mut dice = Dice(seed);
    let length = 3 << 20;
    let mut bytes = backing.clone().unwrap_or_default();
    if let Some(backing) = &backing {
        std::fs::write(place.path("base"), backing).unwrap();
    }
    bytes.resize(length as usize, 0);
    let mut model = Model { bytes, loose: vec![false; length as usize / 512] };
    let base = backing.map(|_| (PathBuf::from("base"), Format::Raw));
    let file = HostFile::create(&place.path("image")).unwrap();
    let mut image = Qcow2Image::create(file, length, base.as_ref(), layout).unwrap();
    let what = format!("{layout:?}, seed {seed}");
    for _ in 0..6 {
        for _ in 0..60 {
            change(&image, &mut model, &mut dice, 1 << layout.cluster_bits);
        }
        model.compare(&image, &what);
        drop(image);
        if has_qemu() {
            place.qemu_img("check -f qcow2 image");
        }
        image = open(&place.path("image"), false);
        model.compare(&image, &what);
        let report = image.check(Repair::None).unwrap();
        assert!(report.is_clean(), "{what}: {report:?}");
    }
    drop(image);
    if has_qemu() {
        std::fs::write(place.path("raw"), &model.bytes).unwrap();
        place.qemu_img("compare -f qcow2 -F raw image raw");
    }
}

#[test]
fn random_changes_are_as_they_should_be() {
    for (index, layout) in LAYOUTS.into_iter().enumerate() {
        for seed in 1..=4 {
            soak(&Place::new(), layout, seed * 1000 + index as u64, None);
        }
    }
}

#[test]
fn random_changes_in_front_of_a_backing_file() {
    for (index, layout) in LAYOUTS.into_iter().enumerate() {
        for seed in 1..=4 {
            let mut dice = Dice(seed + 77);
            // Shorter or longer than the image.
            let length = (2 + seed % 3) << 20;
            let backing = (0..length / 512).flat_map(|_| [dice.roll(256) as u8; 512]).collect();
            soak(&Place::new(), layout, seed * 1000 + index as u64, Some(backing));
        }
    }
}

#[test]
fn old_images_are_written() {
    if !has_qemu() {
        return;
    }
    for options in ["compat=0.10,cluster_size=4k", "compat=0.10", "preallocation=metadata"] {
        let place = Place::new();
        let base: Vec<u8> = (0..4 << 20).map(|at: u32| (at >> 9) as u8 | 1).collect();
        std::fs::write(place.path("base"), &base).unwrap();
        let backing = if options.contains("pre") { "" } else { "-b base -F raw" };
        place.qemu_img(&format!("create -f qcow2 -o {options} {backing} image 4M"));
        let mut bytes = if backing.is_empty() { Vec::new() } else { base };
        bytes.resize(4 << 20, 0);
        let mut model = Model { bytes, loose: vec![false; 8192] };
        let image = open(&place.path("image"), false);
        let mut dice = Dice(4711);
        for _ in 0..300 {
            change(&image, &mut model, &mut dice, 65536);
        }
        model.compare(&image, options);
        drop(image);
        place.qemu_img("check image");
        std::fs::write(place.path("raw"), &model.bytes).unwrap();
        place.qemu_img("compare -F raw image raw");
    }
}
