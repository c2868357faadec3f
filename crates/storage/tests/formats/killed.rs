//! Programs that are killed while they write.
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use platform::Buffers;
use rand::RngExt;
use storage::{CreateOptions, Format, Repair};

use crate::models;
use crate::qemu;

/// Names the image for the program that is killed.
const IMAGE: &str = "GASANG_TEST_KILLED_IMAGE";
/// Sectors of the disk: enough of them for new blocks until the end.
const SECTORS: u64 = 512 << 11;

/// The sector that is the `number`th to be written.
fn sector(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % SECTORS
}

/// Not a test of its own: what is killed. Says which sectors it has written.
#[test]
fn writer() {
    let Some(path) = std::env::var_os(IMAGE) else { return };
    let image = models::open(Path::new(&path));
    let mut out = std::io::stdout();
    for number in 0..20_000 {
        let bytes = Buffers::of_bytes(vec![number as u8 | 1; 512]);
        image.write(sector(number) * 512, bytes.all()).unwrap();
        writeln!(out, "written {number}").unwrap();
    }
}

/// Runs the writer for a while; returns how many sectors it wrote for sure.
fn write_and_kill(image: &Path, after: Duration) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::writer", "--nocapture"])
        .env(IMAGE, image)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut written, mut started) = (0, false);
    let killer = std::thread::spawn(move || {
        std::thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
    });
    while let Some(Ok(line)) = lines.next() {
        if let Some(number) = line.strip_prefix("written ") {
            // The last line may be cut off.
            written = number.parse::<u64>().map_or(written, |number| number.max(written));
            started = true;
        }
    }
    killer.join().unwrap();
    if started { written.saturating_sub(1) } else { 0 }
}

#[test]
fn images_survive_it() {
    let mut numbers = models::numbers(3);
    let formats = [(Format::Vdi, "vdi"), (Format::Vmdk, "vmdk"), (Format::Vhd, "vpc")];
    for (format, name) in formats.into_iter().cycle().take(15) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk.image");
        storage::create(&path, &CreateOptions { format, length: SECTORS * 512, backing: None }).unwrap();
        let written = write_and_kill(&path, Duration::from_millis(numbers.random_range(10..120)));
        let image = models::open(&path);
        // A sector may be written more than once.
        for sector in (0..written).map(sector) {
            let bytes = Buffers::of_bytes(vec![0; 512]);
            image.read(sector * 512, bytes.all()).unwrap();
            let bytes = bytes.into_bytes();
            let is_whole = bytes[0] & 1 == 1 && bytes.iter().all(|byte| *byte == bytes[0]);
            assert!(is_whole, "{format}: sector {sector} of {written}");
        }
        let report = image.check(Repair::Leaks).unwrap();
        assert_eq!(report.corruption_count, 0, "{format}: {report:?}");
        assert!(report.leaks <= 1 && report.mended == report.leaks, "{format}: {report:?}");
        if qemu::is_here("images_survive_it") {
            let raw_path = directory.path().join("disk.raw");
            let options = CreateOptions { format: Format::Raw, length: SECTORS * 512, backing: None };
            let raw = storage::create(&raw_path, &options).unwrap();
            storage::convert(&*image, &*raw, &mut |_, _| {}).unwrap();
            drop((raw, image));
            qemu::same_and_sound(&raw_path, &path, name);
        }
    }
}
