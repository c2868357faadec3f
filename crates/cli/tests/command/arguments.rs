//! Bad input: each has a message that says what, why and what next, and its exit code.
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::process::{errors, gasang, run};

#[test]
fn help_and_version_go_to_stdout() {
    for arguments in [&["--help"][..], &["--version"], &["run", "--help"], &["doctor", "--help"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0));
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{arguments:?}");
    }
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    assert!(help.contains("Exit codes") && help.contains("Examples"), "{help}");
}

#[test]
fn unknown_words_are_usage_errors() {
    for arguments in
        [&["run", "--bogus"][..], &["fly"], &[], &["run", "--engine", "warp"], &["run", "--cpus", "x"]]
    {
        let text = errors(&run(arguments), 2);
        assert!(!text.is_empty(), "{arguments:?}");
    }
}

#[test]
fn impossible_memory_is_a_usage_error() {
    for (size, why) in [
        ("0", "too few"),
        ("3", "too few"),
        ("67108865", "multiple of 4096"),
        ("99T", "more than"),
        ("100000000000000000000", "more than"),
        ("lots", "512M or 2G"),
        ("12Q", "no unit"),
        ("-1", ""),
    ] {
        let text = errors(&run(&["run", "--memory", size]), 2);
        assert!(text.contains(why), "{size}: {text}");
    }
}

#[test]
fn impossible_options_are_usage_errors() {
    for arguments in [
        ["--cpus", "0"],
        ["--cpus", "17"],
        ["--cpus", "200"],
        ["--timeout", "0"],
        ["--timeout", "soon"],
        ["--debug-exit", "0x1ffff"],
    ] {
        errors(&run(&["run", arguments[0], arguments[1]]), 2);
    }
}

#[test]
fn missing_files_are_not_found() {
    let text = errors(&run(&["run", "--kernel", "/nowhere/vmlinuz"]), 4);
    assert!(text.contains("/nowhere/vmlinuz") && text.contains("No such file"), "{text}");
    assert!(text.contains("default guest"), "{text}");
}

#[test]
fn odd_kernels_are_failures_that_say_why() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_string_lossy().into_owned()
    };
    let mut arm = vec![0; 4096];
    arm[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0");
    let mut cut = vec![0; 1024];
    cut[510..512].copy_from_slice(&[0x55, 0xaa]);
    cut[0x1f1] = 30;
    cut[0x201] = 0x6a;
    cut[0x211] = 1;
    cut[0x236] = 1;
    cut[0x25b] = 1;
    cut[0x202..0x206].copy_from_slice(b"HdrS");
    cut[0x206..0x208].copy_from_slice(&[0x0f, 0x02]);
    for (kernel, why) in [
        (file("empty", b""), "empty"),
        (file("text", b"#!/bin/sh\necho hello\n"), "not a Linux bzImage"),
        (file("arm", &arm), "not for x86"),
        (file("cut", &cut), "truncated"),
        (directory.path().to_string_lossy().into_owned(), "not a regular file"),
    ] {
        let text = errors(&run(&["run", "--kernel", &kernel]), 1);
        assert!(text.contains(why) && text.contains("\n  "), "{kernel}: {text}");
    }
}

/// Root writes everywhere, so a file stands in the directory's way.
#[test]
fn an_unusable_cache_directory_is_a_failure_with_advice() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, b"").unwrap();
    let text = errors(&run(&["run", "--guests-dir", &file.join("guests").to_string_lossy()]), 1);
    assert!(text.contains("cache directory") && text.contains("--guests-dir"), "{text}");
}

#[test]
fn a_host_without_home_needs_a_directory() {
    let output = gasang().arg("run").env_remove("HOME").env_remove("XDG_CACHE_HOME").output().unwrap();
    let text = errors(&output, 1);
    assert!(text.contains("HOME") && text.contains("--guests-dir"), "{text}");
}

#[test]
fn a_host_without_apt_is_told_so() {
    let directory = tempfile::tempdir().unwrap();
    let output = fetching(directory.path(), directory.path());
    let text = errors(&output, 4);
    assert!(text.contains("apt") && text.contains("--kernel"), "{text}");
    assert_no_leftovers(&directory.path().join("cache"));
}

/// An archive whose lists can be had, but that has no such package.
#[test]
fn a_missing_package_is_not_found_and_leaves_nothing_half_written() {
    let directory = tempfile::tempdir().unwrap();
    let programs = directory.path().join("bin");
    fs::create_dir(&programs).unwrap();
    for (name, text) in [
        (
            "apt-get",
            "#!/bin/sh\ncase \"$*\" in *update*) exit 0;; esac\necho 'E: Unable to locate package x' >&2\nexit 100\n",
        ),
        ("apt-cache", "#!/bin/sh\necho 'E: No packages found' >&2\nexit 100\n"),
    ] {
        let path = programs.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let text = errors(&fetching(directory.path(), &programs), 4);
    assert!(text.contains("package") || text.contains("archive"), "{text}");
    assert_no_leftovers(&directory.path().join("cache"));
}

fn fetching(directory: &Path, programs: &Path) -> std::process::Output {
    let mut command = gasang();
    command.arg("run").arg("--guests-dir").arg(directory.join("cache")).env("PATH", programs);
    command.output().unwrap()
}

fn assert_no_leftovers(cache: &Path) {
    assert!(!cache.join("kernels").exists() && !cache.join("busybox").exists());
}

#[test]
fn doctor_answers_people_and_programs() {
    let table = run(&["doctor"]);
    assert!(matches!(table.status.code(), Some(0 | 14)), "{table:?}");
    assert!(String::from_utf8_lossy(&table.stdout).contains("/dev/kvm"));
    let json = run(&["doctor", "--format", "json"]);
    let findings: Vec<serde_json::Value> = serde_json::from_slice(&json.stdout).unwrap();
    assert!(findings.iter().all(|finding| finding["name"].is_string() && finding["level"].is_string()));
}
