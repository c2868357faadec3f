//! QEMU's programs for images.
use std::path::Path;
use std::process::{Command, Output};

/// Whether `qemu-img` is here; says so if it is not.
pub fn is_here(test: &str) -> bool {
    let here = Command::new("qemu-img").arg("--version").output().is_ok_and(|output| output.status.success());
    if !here {
        eprintln!("{test} is skipped: there is no qemu-img");
    }
    here
}

/// Runs `qemu-img`.
pub fn run(arguments: &[&str]) -> Output {
    Command::new("qemu-img").args(arguments).output().expect("qemu-img runs")
}

/// Runs it, and wants it to succeed.
pub fn succeed(arguments: &[&str]) {
    let output = run(arguments);
    assert!(output.status.success(), "qemu-img {arguments:?}: {}", text(&output));
}

/// Lets QEMU fill a range of a disk with a byte.
pub fn write(image: &Path, format: &str, byte: u8, offset: usize, length: usize) {
    let command = format!("write -P {byte} {offset} {length}");
    let output = Command::new("qemu-io").args(["-f", format, "-c", &command, path(image)]).output();
    let output = output.expect("qemu-io is where qemu-img is");
    assert!(output.status.success() && text(&output).contains("wrote"), "{command}: {}", text(&output));
}

/// Wants an image to have the bytes of a raw file, and to be sound where QEMU can tell.
pub fn same_and_sound(raw: &Path, image: &Path, format: &str) {
    succeed(&["compare", "-f", "raw", "-F", format, path(raw), path(image)]);
    if ["vdi", "vmdk", "vhdx"].contains(&format) {
        succeed(&["check", "-f", format, path(image)]);
    }
}

/// How long QEMU thinks that a disk is.
pub fn length(image: &Path, format: &str) -> u64 {
    let output = run(&["info", "--output=json", "-f", format, path(image)]);
    let text = text(&output);
    // The image's own length is told last, after those of its files.
    let value = text.rsplit("\"virtual-size\": ").next().unwrap_or_default();
    let digits: String = value.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no length in {text}"))
}

/// A path as an argument.
pub fn path(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
