//! Many threads at once.
use super::*;
use crate::Repair;

const LENGTH: u64 = 8 << 20;

/// Each thread has its own sectors of every cluster, so all of them meet in all clusters.
#[test]
fn writers_meet_in_clusters() {
    const THREADS: u64 = 4;
    for layout in LAYOUTS {
        let place = Place::new();
        let image = place.create("image", LENGTH, layout);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let image = &image;
                scope.spawn(move || {
                    let mut dice = Dice(thread + 1);
                    for step in 0..1500 {
                        let sector = dice.roll(LENGTH / 512 / THREADS) * THREADS + thread;
                        match step % 50 {
                            49 => image.flush().unwrap(),
                            _ => write(image, sector * 512, &[thread as u8 + 1; 512]),
                        }
                        assert_eq!(read(image, sector * 512, 1)[0] & !7, 0);
                    }
                    for sector in (thread..LENGTH / 512).step_by(THREADS as usize * 5) {
                        write(image, sector * 512, &[thread as u8 + 1; 512]);
                    }
                });
            }
            let image = &image;
            scope.spawn(move || {
                let mut dice = Dice(8);
                for _ in 0..300 {
                    read(image, dice.roll(LENGTH / 1024) * 512, LENGTH as usize / 2);
                }
            });
        });
        let bytes = read(&image, 0, LENGTH as usize);
        for (index, sector) in bytes.chunks_exact(512).enumerate() {
            let thread = index as u64 % THREADS;
            let value = thread as u8 + 1;
            let is_sure = (index as u64 - thread).is_multiple_of(THREADS * 5);
            let is_zero = !is_sure && sector[0] == 0;
            let expected = if is_zero { 0 } else { value };
            assert!(sector.iter().all(|byte| *byte == expected), "{layout:?}: sector {index}");
        }
        let report = image.check(Repair::None).unwrap();
        assert!(report.is_clean(), "{layout:?}: {report:?}");
    }
}

/// Discarded clusters are used again while others read and write.
#[test]
fn room_moves_between_threads() {
    let place = Place::new();
    let image = place.create("image", LENGTH, LAYOUTS[2]);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let image = &image;
            scope.spawn(move || {
                let mut dice = Dice(thread + 100);
                let (base, part) = (thread * LENGTH / 4, LENGTH / 4 / 4096);
                for step in 1..1000 {
                    let offset = base + dice.roll(part) * 4096;
                    write(image, offset, &[step as u8; 4096]);
                    let other = base + dice.roll(part) * 4096;
                    image.discard(other, 4096).unwrap();
                    let expected = if other == offset { 0 } else { step as u8 };
                    assert_eq!(read(image, offset, 4096), [expected; 4096]);
                    if step % 20 == 0 {
                        image.flush().unwrap();
                    }
                }
            });
        }
    });
    assert!(image.check(Repair::None).unwrap().is_clean());
}
