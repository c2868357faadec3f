//! A process that is killed at any moment leaves a sound image with everything that it has flushed.
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::Duration;

use super::*;
use crate::Repair;

const SECTORS: u64 = 16 << 20 >> 9;
/// Tells the test below that it is the process to be killed, and which image is its own.
const IMAGE: &str = "GASANG_QCOW2_KILLED";

/// What a process does next.
enum Change {
    Write { sector: u64, sectors: u64, stamp: u32 },
    Zero { sector: u64, sectors: u64 },
    Discard { sector: u64, sectors: u64 },
    Flush,
}

/// The changes that a seed stands for, without end.
fn changes(seed: u64) -> impl Iterator<Item = Change> {
    let mut dice = Dice(seed);
    (1..).map(move |stamp| {
        let sector = dice.roll(SECTORS);
        let most = if dice.roll(8) == 0 { 600 } else { 8 };
        let sectors = (1 + dice.roll(most)).min(SECTORS - sector);
        match dice.roll(40) {
            0 => Change::Flush,
            1..4 => Change::Zero { sector, sectors },
            4..8 => Change::Discard { sector, sectors: (sectors * 40).min(SECTORS - sector) },
            _ => Change::Write { sector, sectors, stamp },
        }
    })
}

fn stamped(sectors: u64, stamp: u32) -> Vec<u8> {
    stamp.to_le_bytes().repeat(sectors as usize * 128)
}

/// Not a test of its own: [`killed_writers_leave_sound_images`] runs it in a process that it kills.
#[test]
fn writer() {
    let Ok(argument) = std::env::var(IMAGE) else { return };
    let (seed, path) = argument.split_once(' ').unwrap();
    let image = open(Path::new(path), false);
    let mut flushes = 0;
    println!();
    for change in changes(seed.parse().unwrap()) {
        match change {
            Change::Write { sector, sectors, stamp } => write(&image, sector * 512, &stamped(sectors, stamp)),
            Change::Zero { sector, sectors } => {
                image.write_zeroes(sector * 512, sectors * 512, sector % 2 == 0).unwrap();
            }
            Change::Discard { sector, sectors } => image.discard(sector * 512, sectors * 512).unwrap(),
            Change::Flush => {
                image.flush().unwrap();
                flushes += 1;
                println!("flushed {flushes}");
                std::io::stdout().flush().unwrap();
            }
        }
    }
}

/// Runs a writer for a while. Answers how many flushes it has told of.
fn run_and_kill(path: &Path, seed: u64, delay: Duration) -> usize {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "qcow2::tests::kill::writer", "--nocapture"])
        .env(IMAGE, format!("{seed} {}", path.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut flushes = lines.map_while(Result::ok).filter(|line| line.starts_with("flushed"));
    let first = flushes.next();
    std::thread::sleep(delay);
    child.kill().unwrap();
    let count = usize::from(first.is_some()) + flushes.count();
    child.wait().unwrap();
    count
}

/// The stamps that each sector may have after so many flushes were told of.
fn allowed(before: &[u32], seed: u64, flushes: usize) -> Vec<BTreeSet<u32>> {
    let mut allowed: Vec<BTreeSet<u32>> = before.iter().map(|stamp| BTreeSet::from([*stamp])).collect();
    let (mut seen, mut later) = (0, 0);
    for change in changes(seed) {
        let (range, stamp, is_sure) = match change {
            Change::Write { sector, sectors, stamp } => (sector..sector + sectors, stamp, true),
            Change::Zero { sector, sectors } => (sector..sector + sectors, 0, true),
            Change::Discard { sector, sectors } => (sector..sector + sectors, 0, false),
            Change::Flush => {
                seen += 1;
                // It may have flushed once or twice more than it could tell.
                later += usize::from(seen > flushes);
                if later > 2 {
                    break;
                }
                continue;
            }
        };
        for sector in &mut allowed[range.start as usize..range.end as usize] {
            if is_sure && seen < flushes {
                sector.clear();
            }
            sector.insert(stamp);
        }
    }
    allowed
}

fn kill_again_and_again(layout: Layout, base: bool, rounds: u64) {
    let place = Place::on_disk();
    let length = SECTORS * 512;
    let backing = base.then(|| (PathBuf::from("base"), Format::Raw));
    std::fs::write(place.path("base"), stamped(SECTORS, u32::MAX)).unwrap();
    let file = HostFile::create(&place.path("image")).unwrap();
    drop(Qcow2Image::create(file, length, backing.as_ref(), layout).unwrap());
    let mut stamps = vec![if base { u32::MAX } else { 0 }; SECTORS as usize];
    for round in 1..=rounds {
        let seed = round * 0x9e37 + u64::from(layout.cluster_bits);
        let flushes = run_and_kill(&place.path("image"), seed, Duration::from_millis(round * 7 % 41));
        assert!(flushes > 0);
        if has_qemu() {
            // Status 3: nothing but leaks.
            let checked = place.run("qemu-img", &["check", "-f", "qcow2", "image"]);
            let text = checked.unwrap_or_else(|text| text);
            let is_sound =
                text.contains("No errors were found") || text.contains("leaked clusters were found");
            assert!(is_sound && !text.contains("ERROR"), "{text}");
        }
        let image = open(&place.path("image"), true);
        let report = image.check(Repair::None).unwrap();
        assert_eq!(report.corruption_count, 0, "{report:?}");
        let allowed = allowed(&stamps, seed, flushes);
        let bytes = read(&image, 0, length as usize);
        for (index, sector) in bytes.chunks_exact(512).enumerate() {
            let stamp = u32::from_le_bytes(sector[..4].try_into().unwrap());
            assert!(sector.chunks_exact(4).all(|part| part == &sector[..4]), "sector {index} is torn");
            assert!(allowed[index].contains(&stamp), "{layout:?}, round {round}, sector {index}: {stamp}");
            stamps[index] = stamp;
        }
        drop(image);
        let mended = open(&place.path("image"), false).check(Repair::Leaks).unwrap();
        assert_eq!(mended.mended, mended.leaks);
        let image = open(&place.path("image"), true);
        assert!(image.check(Repair::None).unwrap().is_clean());
    }
}

#[test]
fn killed_writers_leave_sound_images() {
    for (layout, base, rounds) in [(LAYOUTS[0], false, 7), (LAYOUTS[2], true, 7), (LAYOUTS[3], true, 7)] {
        kill_again_and_again(layout, base, rounds);
    }
}
