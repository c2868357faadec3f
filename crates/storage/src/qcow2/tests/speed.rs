//! Figures, for those who ask: `cargo test --release -p gasang-storage -- --ignored --nocapture qcow2::tests::speed`.
use std::time::Instant;

use super::*;

const WRITES: u64 = 20_000;

#[test]
#[ignore = "it measures"]
fn random_writes() {
    let place =
        if std::env::var_os("GASANG_SPEED_ON_DISK").is_some() { Place::on_disk() } else { Place::new() };
    for (layout, name) in [(LAYOUTS[0], "64 KiB"), (LAYOUTS[2], "4 KiB"), (LAYOUTS[3], "64 KiB extended")] {
        let length = 4 << 30;
        let image = place.create(name, length, layout);
        let data = Buffers::of_bytes(vec![7; 4096]);
        let measure = |what: &str, offset: &dyn Fn(u64) -> u64| {
            let start = Instant::now();
            for index in 0..WRITES {
                image.write(offset(index), data.all()).unwrap();
            }
            println!("{name}: {what}: {:.0} writes a second", WRITES as f64 / start.elapsed().as_secs_f64());
        };
        // A permutation of 65536-byte places: every write allocates.
        let places = length >> 16;
        measure("allocating", &|index| (index * 77_773 % places) << 16);
        image.flush().unwrap();
        measure("in place", &|index| (index * 91_193 % WRITES * 77_773 % places) << 16);
        let start = Instant::now();
        let into = Buffers::of_bytes(vec![0; 4096]);
        for index in 0..WRITES {
            image.read((index * 77_773 % places) << 16, into.all()).unwrap();
        }
        println!("{name}: {:.0} reads a second", WRITES as f64 / start.elapsed().as_secs_f64());
        let start = Instant::now();
        image.flush().unwrap();
        println!("{name}: flush: {:?}", start.elapsed());
        drop(image);
        std::fs::remove_file(place.path(name)).unwrap();
    }
}
