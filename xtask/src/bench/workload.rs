//! The workload script, cut to the rows that are wanted.
use anyhow::ensure;

/// A script that prints `BENCH name seconds` lines.
pub struct Workload {
    text: String,
    scale: u32,
}

impl Workload {
    /// Keeps the rows named in `rows`, or all if there are none.
    pub fn new(text: &str, scale: u32, rows: &[String]) -> anyhow::Result<Self> {
        let all: Vec<_> = text.lines().filter_map(row).collect();
        for wanted in rows {
            ensure!(
                all.contains(&wanted.as_str()),
                "there is no row '{wanted}'; there are {}",
                all.join(", ")
            );
        }
        let keep =
            |line: &&str| row(line).is_none_or(|name| rows.is_empty() || rows.iter().any(|w| w == name));
        let lines: Vec<_> = text.lines().filter(keep).collect();
        Ok(Self { text: lines.join("\n") + "\n", scale })
    }

    /// The script as it is in the guest.
    pub fn text(&self) -> String {
        format!("SCALE={}\n{}", self.scale, self.text)
    }

    /// As the host's script, with the same busybox at a path of the host.
    pub fn host_script(&self, busybox: &str) -> String {
        self.text().replace("box=/bin/busybox;", &format!("box='{busybox}';"))
    }
}

/// The name of the row on a line of the script.
fn row(line: &str) -> Option<&str> {
    let words = line.strip_prefix("bench ").or_else(|| line.strip_prefix("rate "))?;
    words.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "box=/bin/busybox; x\nbench one \"a\"\nbench two \"b\"\n";

    #[test]
    fn only_wanted_rows_stay() {
        let workload = Workload::new(TEXT, 2, &["two".to_owned()]).unwrap();
        assert_eq!(workload.host_script("/b"), "SCALE=2\nbox='/b'; x\nbench two \"b\"\n");
        assert!(Workload::new(TEXT, 1, &["three".to_owned()]).is_err());
    }
}
