//! Which files a network's process reaches (landlock(7)).
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, PathFdError, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetStatus,
};

use super::{JailError, JailPaths};

/// The newest rights that are asked for; an older kernel enforces what it knows of them.
const VERSION: ABI = ABI::V5;

/// How far files are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileJail {
    /// Entirely.
    Closed,
    /// As far as this kernel can.
    Partly,
    /// This kernel has no Landlock: files are open as far as the user's own rights go.
    Open,
}

/// Closes all files but those of `paths`.
pub fn close(paths: &JailPaths) -> Result<FileJail, JailError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(VERSION))?
        .create()?;
    for path in &paths.writable {
        let rights = AccessFs::from_all(VERSION)
            & !(AccessFs::Execute | AccessFs::IoctlDev | AccessFs::MakeBlock | AccessFs::MakeChar);
        let opened = PathFd::new(path).map_err(|error| missing(path, error))?;
        rules = rules.add_rule(PathBeneath::new(opened, rights))?;
    }
    for path in &paths.readable {
        rules = readable(rules, path)?;
    }
    let status = rules.restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => FileJail::Closed,
        RulesetStatus::PartiallyEnforced => FileJail::Partly,
        RulesetStatus::NotEnforced => FileJail::Open,
    })
}

/// Lets a file be read, and what is renamed into its place: rules are about files that are there, not about names, so
/// that takes its directory. Root could read secrets there, and has to do with the file that there is now.
fn readable(mut rules: RulesetCreated, path: &Path) -> Result<RulesetCreated, JailError> {
    let Ok(target) = path.canonicalize() else { return Ok(rules) };
    let mut opened = vec![target.clone()];
    if !rustix::process::geteuid().is_root() {
        opened.extend([&target, path].into_iter().filter_map(|path| path.parent()).map(PathBuf::from));
    }
    for path in opened {
        if let Ok(file) = PathFd::new(&path) {
            rules = rules.add_rule(PathBeneath::new(file, AccessFs::ReadFile))?;
        }
    }
    Ok(rules)
}

fn missing(path: &Path, error: PathFdError) -> JailError {
    JailError::Path { path: path.to_owned(), source: std::io::Error::other(error) }
}
