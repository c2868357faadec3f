//! Paths that documents name must exist, so that maps do not rot.
use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::project;

/// A word in backticks that starts so is a path in the project.
const ROOTS: [&str; 7] = ["crates/", "xtask/", "docs/", "tests/", "benches/", "fuzz/", ".ci/"];

/// Checks the project's documents.
pub fn check() -> anyhow::Result<()> {
    let root = project::root();
    let mut documents = project::files(&root.join("docs"), "md")?;
    documents.extend(["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root.join(name)));
    let mut faults = Vec::new();
    let mut count = 0;
    for document in documents.iter().filter(|document| document.is_file()) {
        let name = project::relative(document);
        let text = std::fs::read_to_string(document).with_context(|| format!("cannot read {name}"))?;
        for path in paths(&text) {
            count += 1;
            if !root.join(&path).exists() {
                faults.push(format!("{name} names {}, which does not exist", path.display()));
            }
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n  "));
    }
    println!("{count} paths in {} documents", documents.len());
    Ok(())
}

/// The paths that a document names in backticks. Patterns and placeholders are none.
fn paths(text: &str) -> BTreeSet<PathBuf> {
    let spans = text
        .lines()
        .filter(|line| !line.starts_with("```"))
        .flat_map(|line| line.split('`').skip(1).step_by(2));
    let is_path = |span: &&str| {
        ROOTS.iter().any(|root| span.starts_with(root)) && !span.contains(['*', '<', '{', ' ', '…'])
    };
    spans.filter(is_path).map(|span| PathBuf::from(span.split(':').next().unwrap_or(span))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_among_other_code() {
        let text = "See `crates/cli/src/main.rs:12`, `docs/`, not `cargo xtask` nor `crates/*/src` nor crates/x.\n\
                    ```\nplain\n```\n`tests/boot`";
        let found: Vec<_> = paths(text).into_iter().map(|path| path.display().to_string()).collect();
        assert_eq!(found, ["crates/cli/src/main.rs", "docs/", "tests/boot"]);
    }
}
