//! Many threads at once.
use platform::Buffers;
use storage::{CreateOptions, Format, Repair};

use crate::models;

/// Threads, and sectors that each of them writes.
const THREADS: u64 = 4;
const SECTORS: u64 = 2000;

#[test]
fn neighbours_do_not_disturb_one_another() {
    for format in [Format::Vdi, Format::Vmdk, Format::Vhd] {
        let directory = tempfile::tempdir().unwrap();
        let options = CreateOptions { format, length: THREADS * SECTORS * 512, backing: None };
        let image = storage::create(&directory.path().join("disk.image"), &options).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let image = &image;
                scope.spawn(move || {
                    for number in 0..SECTORS {
                        // Sectors of all threads lie side by side, in the same new blocks.
                        let bytes = Buffers::of_bytes(vec![thread as u8 + 1; 512]);
                        image.write((number * THREADS + thread) * 512, bytes.all()).unwrap();
                    }
                });
            }
        });
        let disk = models::contents(&*image);
        for (number, sector) in disk.chunks(512).enumerate() {
            let expected = (number as u64 % THREADS) as u8 + 1;
            assert!(sector.iter().all(|byte| *byte == expected), "{format}: sector {number}");
        }
        assert!(image.check(Repair::None).unwrap().is_clean());
    }
}
