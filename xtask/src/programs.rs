//! The guest with programs that people use: what benchmarks and the soak run in.
use anyhow::Context;
use manager::images::{PackageSet, Script};

use crate::project;

/// Interpreters, a database, cryptography, compression, a compiler, and a stress test. What no row needs is left out,
/// since all of it is in the guest's memory.
pub const PROGRAMS: PackageSet = PackageSet {
    name: "programs",
    packages: &[
        "python3",
        "perl",
        "sqlite3",
        "openssl",
        "xz-utils",
        "zstd",
        "gcc",
        "libc6-dev",
        "make",
        "stress-ng",
    ],
    without: &[
        "usr/share/doc",
        "usr/share/info",
        "usr/share/lintian",
        "usr/share/locale",
        "usr/share/man",
        "usr/share/perl/5.36.0/Unicode/Collate",
        "usr/share/X11",
        "usr/bin/x86_64-linux-gnu-dwp",
        "usr/bin/x86_64-linux-gnu-gp",
        "usr/bin/x86_64-linux-gnu-lto-dump",
        "usr/lib/gcc/x86_64-linux-gnu/12/libasan",
        "usr/lib/gcc/x86_64-linux-gnu/12/libtsan",
        "usr/lib/gcc/x86_64-linux-gnu/12/liblsan",
        "usr/lib/gcc/x86_64-linux-gnu/12/libubsan",
        "usr/lib/gcc/x86_64-linux-gnu/12/lto1",
        "usr/lib/x86_64-linux-gnu/gconv",
        "usr/lib/x86_64-linux-gnu/libasan",
        "usr/lib/x86_64-linux-gnu/liblsan",
        "usr/lib/x86_64-linux-gnu/libtsan",
        "usr/lib/x86_64-linux-gnu/libubsan",
        "usr/lib/x86_64-linux-gnu/libc.a",
        "usr/lib/x86_64-linux-gnu/libm-2.36.a",
        "usr/lib/x86_64-linux-gnu/libmvec.a",
        "usr/lib/x86_64-linux-gnu/perl/5.36.0/auto/Encode",
    ],
};

/// A script that finds the files of a directory of the project in `/work`.
pub fn with_files(script: Script, directory: &str) -> anyhow::Result<Script> {
    let files = files(directory)?;
    Ok(files.into_iter().fold(script, |script, (name, contents)| script.with_file(name, contents)))
}

/// Names and contents of the files in a directory of the project, sorted.
pub fn files(directory: &str) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let read = || {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(project::root().join(directory))? {
            let entry = entry?;
            files.push((entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path())?));
        }
        files.sort();
        std::io::Result::Ok(files)
    };
    read().with_context(|| format!("cannot read {directory}"))
}
