//! Translated code is kept from one run to the next, and shared by virtual CPUs.
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::Case;
use crate::lab::{Lab, Setup};

/// Work that comes out the same each time.
const WORK: &str = "seq 1 3000 | awk '{ s = (s * 31 + $1) % 1000003 } END { print \"sum\", s }'";

/// One test: the whole list.
pub fn cases() -> Vec<Case> {
    vec![
        Case::new("translations/the-next-run-has-them", next_run),
        Case::new("translations/with-another-base-address", other_base),
        Case::new("translations/cpus-share-them", shared),
        Case::new("translations/damage-is-noticed", damaged),
        Case::new("translations/a-place-that-cannot-be-written", unwritable),
    ]
}

/// What a guest counted, all of its CPUs together.
struct Counts {
    translated: u64,
    taken: u64,
}

fn run(lab: &Lab, directory: &Path, append: &str, options: &[&str]) -> anyhow::Result<Counts> {
    let directory = directory.to_str().context("a strange path")?;
    let options = [&["--stats", "--translations", directory], options].concat();
    let finished = lab.finish(&Setup::script("translations", WORK).append(append).options(&options))?;
    ensure!(finished.status.code() == Some(0), "it ended with {}: {}", finished.status, finished.errors);
    ensure!(finished.output.contains("sum 842481"), "it computed something else");
    let count = |name: &str| -> anyhow::Result<u64> {
        let rows = finished.errors.lines().filter_map(|line| line.trim().strip_prefix(name));
        let counts: Vec<u64> = rows.filter_map(|row| row.replace(' ', "").parse().ok()).collect();
        ensure!(!counts.is_empty(), "no count of {name}: {}", finished.errors);
        Ok(counts.iter().sum())
    };
    Ok(Counts { translated: count("blocks translated")?, taken: count("blocks taken from the store")? })
}

fn next_run(lab: &Lab) -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let first = run(lab, directory.path(), "nokaslr", &[])?;
    let second = run(lab, directory.path(), "nokaslr", &[])?;
    ensure!(first.translated > 20_000, "the first run translated only {} blocks", first.translated);
    ensure!(
        second.translated < first.translated / 20 && second.taken > first.translated / 2,
        "the second run translated {} and took {}",
        second.translated,
        second.taken
    );
    Ok(())
}

/// The kernel lies somewhere else each time; addresses that its own code has built in are new then.
fn other_base(lab: &Lab) -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let first = run(lab, directory.path(), "", &[])?;
    let second = run(lab, directory.path(), "", &[])?;
    ensure!(
        second.taken > second.translated && second.translated < first.translated,
        "the second run translated {} and took {}",
        second.translated,
        second.taken
    );
    Ok(())
}

fn shared(lab: &Lab) -> anyhow::Result<()> {
    let directory = Path::new("none");
    let one = run(lab, directory, "nokaslr", &[])?;
    let two = run(lab, directory, "nokaslr", &["--cpus", "2"])?;
    ensure!(
        two.taken > one.taken && two.translated < one.translated * 3 / 2,
        "two CPUs translated {} and took {}, one translated {}",
        two.translated,
        two.taken,
        one.translated
    );
    Ok(())
}

fn kept_file(directory: &Path) -> anyhow::Result<PathBuf> {
    let mut entries = std::fs::read_dir(directory)?;
    let only = entries.next().context("nothing was kept")??.path();
    ensure!(entries.next().is_none(), "more than one file was kept");
    Ok(only)
}

fn damaged(lab: &Lab) -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    run(lab, directory.path(), "nokaslr", &[])?;
    let kept = kept_file(directory.path())?;
    let whole = std::fs::read(&kept)?;
    // A byte of each chunk but the first ones: what is kept is not believed, one chunk at a time.
    let mut spoiled = whole.clone();
    spoiled.iter_mut().skip(2 << 20).step_by(4096).for_each(|byte| *byte ^= 0x40);
    std::fs::write(&kept, &spoiled)?;
    let second = run(lab, directory.path(), "nokaslr", &[])?;
    ensure!(second.translated > 1000, "damaged blocks were taken: only {} translated", second.translated);
    // A byte of the header, and a file that was cut off.
    for spoiled in
        [[&whole[..20], &[whole[20] ^ 1], &whole[21..]].concat(), whole[..whole.len() / 2].to_vec()]
    {
        std::fs::write(&kept, &spoiled)?;
        let next = run(lab, directory.path(), "nokaslr", &[])?;
        ensure!(next.translated > 20_000, "a damaged file was taken: only {} translated", next.translated);
    }
    Ok(())
}

/// Nothing is kept, and that is all.
fn unwritable(lab: &Lab) -> anyhow::Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    run(lab, &file.path().join("below-a-file"), "nokaslr", &[]).map(drop)
}
