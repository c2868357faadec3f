//! The host's CPU, as the binary translator uses it.
#![expect(unsafe_code, reason = "reads the auxiliary vector")]
use std::arch::is_x86_feature_detected;
use std::fs;

use super::{Finding, Level};

/// In AT_HWCAP2: the kernel lets user mode use RDFSBASE and friends (Linux 5.9 and later).
const HWCAP2_FSGSBASE: u64 = 1 << 1;

/// CPU model and features.
pub fn probe() -> Vec<Finding> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = field(&cpuinfo, "model name").unwrap_or("unknown");
    let mut findings =
        vec![Finding::ok("CPU", model, "the binary translator runs guest code on it as it is")];
    let needed = [
        ("BMI2", is_x86_feature_detected!("bmi2"), "translated code computes addresses with it"),
        ("XSAVE", is_x86_feature_detected!("xsave"), "the engine saves vector registers with it"),
        ("FSGSBASE", user_bases(), "the engine reaches its own state through GS, from user mode"),
    ];
    for (name, there, meaning) in needed {
        findings.push(feature(name, there, meaning, Level::Missing));
    }
    let welcome = [
        ("XSAVEOPT", is_x86_feature_detected!("xsaveopt"), "makes leaving translated code cheaper"),
        ("SSE4.2", is_x86_feature_detected!("sse4.2"), "guests see it only if the host has it"),
        ("AVX2", is_x86_feature_detected!("avx2"), "guests see it only if the host has it"),
    ];
    for (name, there, meaning) in welcome {
        findings.push(feature(name, there, meaning, Level::Note));
    }
    findings
}

fn feature(name: &'static str, there: bool, meaning: &'static str, without: Level) -> Finding {
    let finding = Finding::ok(name, if there { "yes" } else { "no" }, meaning);
    if there {
        return finding;
    }
    let advice = match without {
        Level::Missing => {
            "use a host with a CPU of 2015 or later and Linux 5.9 or later; in a virtual machine, let \
                           it see the host's CPU"
        }
        _ => "nothing needs doing; programs that insist on it will not run in guests",
    };
    finding.lacking(without, advice)
}

/// Whether user mode may read and write the FS and GS bases.
fn user_bases() -> bool {
    // SAFETY: a plain look-up in this process's auxiliary vector.
    (unsafe { libc::getauxval(libc::AT_HWCAP2) }) & HWCAP2_FSGSBASE != 0
}

/// A field of `/proc/cpuinfo`.
pub fn field<'a>(cpuinfo: &'a str, name: &str) -> Option<&'a str> {
    let lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    lines.map(|(key, value)| (key.trim(), value.trim())).find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "model\t\t: 17\nmodel name\t: A CPU: fast\n";
        assert_eq!(field(text, "model name"), Some("A CPU: fast"));
        assert_eq!(field(text, "mod"), None);
    }
}
