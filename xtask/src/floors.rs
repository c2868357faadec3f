//! Crates stand on floors, and arrows point strictly down: `cargo metadata` against the diagram in `ARCHITECTURE.md`.
use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

use crate::project;

/// What `cargo metadata` says, as far as it matters here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// Set for crates of this project.
    path: Option<String>,
}

/// Checks the project.
pub fn check() -> anyhow::Result<()> {
    let text = std::fs::read_to_string(project::root().join("ARCHITECTURE.md"));
    let floors = parse(&text.context("cannot read ARCHITECTURE.md")?)?;
    let output =
        project::cargo().args(["metadata", "--format-version=1", "--no-deps", "--locked"]).output()?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
    let faults = faults(&floors, &metadata);
    if !faults.is_empty() {
        bail!("{}", faults.join("\n  "));
    }
    println!(
        "{} crates on {} floors",
        floors.len(),
        floors.values().collect::<std::collections::BTreeSet<_>>().len()
    );
    Ok(())
}

/// The diagram: below the heading "Floors", in a fence, lines such as `F2  translator  what it is`; lines without a
/// floor belong to the one above.
fn parse(text: &str) -> anyhow::Result<BTreeMap<String, u32>> {
    let section = text.lines().skip_while(|line| *line != "## Floors").skip(1);
    let diagram = section.skip_while(|line| !line.starts_with("```")).skip(1);
    let mut floors = BTreeMap::new();
    let mut floor = None;
    for line in diagram.take_while(|line| !line.starts_with("```")) {
        let mut words = line.split_whitespace().peekable();
        if let Some(number) =
            words.peek().and_then(|word| word.strip_prefix('F')).and_then(|n| n.parse().ok())
        {
            floor = Some(number);
            words.next();
        }
        let Some(name) = words.next() else { continue };
        let number = floor.with_context(|| format!("'{line}' stands on no floor"))?;
        ensure!(floors.insert(name.to_owned(), number).is_none(), "{name} is in the diagram twice");
    }
    ensure!(!floors.is_empty(), "ARCHITECTURE.md has no diagram below '## Floors'");
    Ok(floors)
}

/// The diagram's name of a package: `gasang-x86` is `x86`, and the command itself is `cli`.
fn short(name: &str) -> &str {
    if name == "gasang" { "cli" } else { name.strip_prefix("gasang-").unwrap_or(name) }
}

fn faults(floors: &BTreeMap<String, u32>, metadata: &Metadata) -> Vec<String> {
    let mut faults = Vec::new();
    let crates: Vec<_> =
        metadata.packages.iter().filter(|package| package.manifest_path.contains("/crates/")).collect();
    for name in floors.keys().filter(|name| !crates.iter().any(|package| short(&package.name) == **name)) {
        faults.push(format!("{name} is in the diagram, but there is no such crate"));
    }
    for package in crates {
        let name = short(&package.name);
        let Some(floor) = floors.get(name) else {
            faults.push(format!("{name} is not in the diagram of ARCHITECTURE.md"));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            let below = short(&dependency.name);
            match floors.get(below) {
                Some(other) if other < floor => {}
                Some(other) => faults.push(format!("{name} (F{floor}) depends on {below} (F{other})")),
                None => faults.push(format!("{name} depends on {below}, which stands on no floor")),
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIAGRAM: &str =
        "# A\n```\nF9 no\n```\n## Floors\n\n```\nF5  cli  x\n\nF2  a    x\n    b    y\nF0  x86  z\n```\n";

    fn package(name: &str, dependencies: &[&str]) -> Package {
        let dependency =
            |name: &&str| Dependency { name: format!("gasang-{name}"), path: Some("/p/crates/q".to_owned()) };
        let dependencies = dependencies.iter().map(dependency).collect();
        Package { name: name.to_owned(), manifest_path: format!("/p/crates/{name}/Cargo.toml"), dependencies }
    }

    fn faults_of(cli: &[&str], a: &[&str]) -> Vec<String> {
        let packages = vec![
            package("gasang", cli),
            package("gasang-a", a),
            package("gasang-b", &[]),
            package("gasang-x86", &[]),
        ];
        faults(&parse(DIAGRAM).unwrap(), &Metadata { packages })
    }

    #[test]
    fn arrows_down_are_fine() {
        assert_eq!(faults_of(&["a", "b", "x86"], &["x86"]), [""; 0]);
    }

    #[test]
    fn arrows_sideways_and_up_are_faults() {
        assert_eq!(faults_of(&[], &["b"]), ["a (F2) depends on b (F2)"]);
        let metadata = Metadata { packages: vec![package("gasang-x86", &["a"])] };
        let all = faults(&parse(DIAGRAM).unwrap(), &metadata);
        assert!(all.contains(&"x86 (F0) depends on a (F2)".to_owned()), "{all:?}");
    }

    #[test]
    fn diagram_and_crates_must_agree() {
        let metadata = Metadata { packages: vec![package("gasang-new", &[])] };
        let all = faults(&parse(DIAGRAM).unwrap(), &metadata);
        assert!(all.iter().any(|fault| fault.starts_with("new is not in the diagram")), "{all:?}");
        assert!(all.iter().any(|fault| fault.starts_with("cli is in the diagram, but")), "{all:?}");
        assert!(parse("# nothing\n").is_err());
    }
}
