//! Images on a host whose file system is full.
use std::path::Path;
use std::process::Command;

use platform::{Buffers, DiskError};
use storage::{CreateOptions, Format, Image, Repair};

use crate::models;

/// Names the small file system for the program that fills it.
const DIRECTORY: &str = "GASANG_TEST_FULL_DIRECTORY";
/// Bytes that are written at once, all the same.
const PIECE: usize = 48 << 10;
/// Mounts a small file system where only the program sees it, and runs the program.
const SCRIPT: &str = "mount -t tmpfs -o size=6m none \"$1\" && exec \"$2\" --exact full::filler --nocapture";

/// Not a test of its own: what runs on the small file system.
#[test]
fn filler() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    for format in [Format::Vdi, Format::Vmdk, Format::Vhd] {
        fill(&Path::new(&directory).join("disk.image"), format);
    }
    println!("all were filled");
}

fn write(image: &dyn Image, number: u64) -> Result<(), DiskError> {
    // Pieces come in an order that opens new blocks early, and uses old ones late.
    let offset = number * 37 % 300 * PIECE as u64;
    image.write(offset, Buffers::of_bytes(vec![number as u8 | 1; PIECE]).all())
}

fn assert_written(image: &dyn Image, pieces: u64) {
    let disk = models::contents(image);
    for number in 0..pieces {
        let start = (number * 37 % 300) as usize * PIECE;
        let same = disk[start..start + PIECE].iter().all(|byte| *byte == number as u8 | 1);
        assert!(same, "piece {number} of {pieces}");
    }
}

fn fill(path: &Path, format: Format) {
    let options = CreateOptions { format, length: 300 * PIECE as u64, backing: None };
    let image = storage::create(path, &options).unwrap();
    let mut pieces = 0;
    let error = loop {
        match write(&*image, pieces) {
            Ok(()) => pieces += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, DiskError::NoSpace(_)), "{format}: {error:?}");
    assert!(pieces > 50, "{format}: only {pieces} were written");
    assert!(matches!(write(&*image, pieces), Err(DiskError::NoSpace(_))));
    assert_written(&*image, pieces);
    assert_eq!(image.check(Repair::None).unwrap().corruption_count, 0, "{format}");
    drop(image);
    let image = models::open(path);
    assert_written(&*image, pieces);
    // With some room again, it goes on.
    for number in pieces - 10..pieces {
        image.discard(number * 37 % 300 * PIECE as u64, PIECE as u64).unwrap();
    }
    write(&*image, pieces).unwrap();
    write(&*image, 0).unwrap();
    assert_written(&*image, pieces - 10);
    let report = image.check(Repair::Leaks).unwrap();
    assert_eq!((report.corruption_count, report.leaks), (0, report.mended), "{format}: {report:?}");
    drop(image);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn images_stay_sound() {
    let directory = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh"]);
    let output = command.arg(directory.path()).arg(program).env(DIRECTORY, directory.path()).output();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output {
        Ok(output) if output.status.success() => assert!(text(&output.stdout).contains("all were filled")),
        Ok(output) if text(&output.stdout).contains("running 1 test") => {
            panic!("{}{}", text(&output.stdout), text(&output.stderr));
        }
        _ => eprintln!("images_stay_sound is skipped: no file system can be mounted here"),
    }
}
