//! Hardware assistance: whether there is a `/dev/kvm`, and whether it is real.
use std::fs::{self, File};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::MetadataExt;

use super::cpu::field;
use super::{Finding, Level};

const MEANING: &str = "hardware assistance; the binary translator does without";

/// Looks at `/dev/kvm`.
pub fn probe() -> Finding {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = field(&cpuinfo, "flags").unwrap_or_default();
    let has = |wanted: &str| flags.split_whitespace().any(|flag| flag == wanted);
    judge(
        File::options().read(true).write(true).open("/dev/kvm").map(drop),
        has("vmx") || has("svm"),
        has("hypervisor"),
        group(),
    )
}

fn judge(opened: Result<(), Error>, extensions: bool, is_virtual: bool, group: Option<String>) -> Finding {
    let finding = |found: &str| Finding::ok("/dev/kvm", found, MEANING);
    let note = |found: &str, advice: &str| finding(found).lacking(Level::Note, advice);
    match opened {
        Ok(()) if extensions => finding("usable"),
        Ok(()) => note(
            "there, but the CPU shows no VMX or SVM (a software KVM)",
            "nothing needs doing; such a KVM emulates the guest's kernel slowly and is not used",
        ),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            note("there, but closed to you", &admission(group.as_deref()))
        }
        Err(error) if error.kind() != ErrorKind::NotFound => {
            note(&format!("there, but cannot be opened ({error})"), "look at 'dmesg' for messages of kvm")
        }
        Err(_) if extensions => note("not there", "the CPU could: sudo modprobe kvm_intel or kvm_amd"),
        Err(_) if is_virtual => note(
            "not there",
            "this host is itself a virtual machine; whoever runs it could turn on nested virtualization",
        ),
        Err(_) => {
            note("not there", "turn on VT-x or AMD-V (SVM) in the firmware's settings, if the CPU has it")
        }
    }
}

/// How an ordinary user gets at the device.
fn admission(group: Option<&str>) -> String {
    match group {
        Some(group) => format!("join its group: sudo usermod -aG {group} $USER, then log in again"),
        None => "it is root's alone; sudo setfacl -m u:$USER:rw /dev/kvm opens it to you".to_owned(),
    }
}

/// The group that may use the device, if it is an ordinary one.
fn group() -> Option<String> {
    const GROUP_READS_AND_WRITES: u32 = 0o060;
    let status = fs::metadata("/dev/kvm").ok()?;
    if status.gid() == 0 || status.mode() & GROUP_READS_AND_WRITES != GROUP_READS_AND_WRITES {
        return None;
    }
    group_name(&fs::read_to_string("/etc/group").ok()?, status.gid())
}

/// Looks a group up in the text of `/etc/group`.
fn group_name(groups: &str, id: u32) -> Option<String> {
    let mut lines = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let fields = lines.find(|fields| fields.get(2).and_then(|text| text.parse().ok()) == Some(id))?;
    Some(fields[0].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(kind: ErrorKind, extensions: bool, is_virtual: bool) -> String {
        judge(Err(kind.into()), extensions, is_virtual, Some("kvm".to_owned())).advice.unwrap()
    }

    #[test]
    fn each_way_to_lack_it_has_its_own_advice() {
        assert!(found(ErrorKind::PermissionDenied, true, false).contains("group"));
        assert!(found(ErrorKind::NotFound, true, false).contains("modprobe"));
        assert!(found(ErrorKind::NotFound, false, true).contains("nested"));
        assert!(found(ErrorKind::NotFound, false, false).contains("firmware"));
        assert!(found(ErrorKind::Other, false, false).contains("dmesg"));
    }

    #[test]
    fn a_device_without_a_group_has_none_to_join() {
        let finding = judge(Err(ErrorKind::PermissionDenied.into()), true, false, None);
        assert!(finding.advice.unwrap().contains("setfacl"));
        let groups = "root:x:0:\nkvm:x:104:somebody\n";
        assert_eq!(group_name(groups, 104).as_deref(), Some("kvm"));
        assert_eq!(group_name(groups, 10), None);
    }

    #[test]
    fn a_kvm_without_the_cpus_extensions_is_software() {
        assert_eq!(judge(Ok(()), true, false, None).level, Level::Ok);
        assert!(judge(Ok(()), false, true, None).found.contains("software"));
    }
}
