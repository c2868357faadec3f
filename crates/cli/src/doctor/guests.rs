//! What the default guest is made with, and where it is kept.
use std::path::{Path, PathBuf};

use manager::cache::Cache;
use rustix::fs::{Access, access};

use super::{Finding, Level};

/// The clients of the package archive.
const CLIENTS: [&str; 3] = ["apt-get", "apt-cache", "dpkg"];

/// Programs and the cache directory.
pub fn probe() -> Vec<Finding> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<_> = std::env::split_paths(&path).collect();
    let named = std::env::var_os("GASANG_GUESTS").map(|directory| Cache::at(PathBuf::from(directory)));
    let cache = named.map_or_else(Cache::of_user, Ok);
    vec![
        clients(&directories),
        ids(&directories, rustix::process::geteuid().is_root()),
        directory(cache.ok().as_ref().map(Cache::root)),
    ]
}

fn clients(directories: &[PathBuf]) -> Finding {
    let meaning = "the default guest is fetched with apt-get, apt-cache and dpkg";
    let is_there = |name: &&str| directories.iter().any(|directory| directory.join(name).is_file());
    let missing: Vec<_> = CLIENTS.into_iter().filter(|name| !is_there(name)).collect();
    if missing.is_empty() {
        return Finding::ok("apt", "yes", meaning);
    }
    Finding::ok("apt", format!("no {}", missing.join(", ")), meaning)
        .lacking(Level::Note, "use a host with Debian's packages, or give 'gasang run' --kernel and --initrd")
}

/// How the files of a guest's disk get their owners.
fn ids(directories: &[PathBuf], is_root: bool) -> Finding {
    let meaning = "guests with a disk are made with files of several users";
    if is_root {
        return Finding::ok("newuidmap", "not needed by root", meaning);
    }
    if directories.iter().any(|directory| directory.join("newuidmap").is_file()) {
        return Finding::ok("newuidmap", "yes", meaning);
    }
    Finding::ok("newuidmap", "not there", meaning).lacking(
        Level::Note,
        "install Debian's package uidmap for 'gasang image build' and the first 'gasang run debian-12'",
    )
}

fn directory(root: Option<&Path>) -> Finding {
    let meaning = "the default guest is kept there";
    let Some(root) = root else {
        return Finding::ok("guests", "no directory", meaning).lacking(
            Level::Note,
            "set HOME or XDG_CACHE_HOME to an absolute path, or give 'gasang run' --guests-dir",
        );
    };
    let finding = Finding::ok("guests", root.display().to_string(), meaning);
    // What does not exist yet is created below what does.
    let existing = root.ancestors().find(|path| path.exists()).unwrap_or(root);
    if existing.is_dir() && access(existing, Access::WRITE_OK | Access::EXEC_OK).is_ok() {
        return finding;
    }
    let advice = format!("{} is closed to you; give 'gasang run' --guests-dir", existing.display());
    finding.lacking(Level::Note, advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_client_is_named() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["apt-get", "dpkg"] {
            std::fs::write(directory.path().join(name), b"").unwrap();
        }
        let directories = [PathBuf::from("/nowhere"), directory.path().to_owned()];
        assert_eq!(clients(&directories).found, "no apt-cache");
        std::fs::write(directory.path().join("apt-cache"), b"").unwrap();
        assert_eq!(clients(&directories).level, Level::Ok);
    }

    #[test]
    fn an_ordinary_user_needs_ids() {
        let directory = tempfile::tempdir().unwrap();
        let directories = [directory.path().to_owned()];
        assert_eq!(ids(&directories, true).level, Level::Ok);
        assert!(ids(&directories, false).advice.unwrap().contains("uidmap"));
        std::fs::write(directory.path().join("newuidmap"), b"").unwrap();
        assert_eq!(ids(&directories, false).level, Level::Ok);
    }

    #[test]
    fn a_directory_may_have_to_be_created_first() {
        let there = tempfile::tempdir().unwrap();
        assert_eq!(directory(Some(&there.path().join("a/b"))).level, Level::Ok);
        let file = there.path().join("file");
        std::fs::write(&file, b"").unwrap();
        assert!(directory(Some(&file.join("a"))).advice.unwrap().contains("--guests-dir"));
        assert!(directory(None).advice.unwrap().contains("HOME"));
    }
}
