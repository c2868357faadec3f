//! Programs compute in the guest what they compute on the host, with the same busybox.
use std::process::Command;

use anyhow::ensure;

use super::Case;
use crate::lab::{Lab, Setup};

/// Deterministic work of many kinds by `$B` on the file `$D`; prints checksums. Busybox takes the names of its programs as
/// first word.
const WORK: &str = "
$B dd if=/dev/zero bs=1M count=8 2>/dev/null | $B sha256sum
$B dd if=/dev/zero bs=1M count=8 2>/dev/null | $B sha512sum
$B dd if=/dev/zero bs=1M count=16 2>/dev/null | $B md5sum
$B cat $D | $B sha1sum
$B cat $D | $B gzip -9 -c | $B gunzip -c | $B md5sum
$B cat $D | $B bzip2 -9 -c | $B md5sum
$B cat $D | $B bzip2 -9 -c | $B bunzip2 -c | $B md5sum
$B awk 'BEGIN{s=0;for(i=0;i<200000;i++){s=(s*31+i)%1000003}print s}'
$B awk 'BEGIN{x=0.5;for(i=0;i<100000;i++){x=3.7*x*(1-x)}printf \"%.17g\\n\", x}'
$B awk 'BEGIN{for(i=0;i<50000;i++){k=\"k\" i%5000;a[k]=a[k] substr(\"abcdefgh\",i%8,1)}for(k in a)print k, a[k]}' | $B sort | $B md5sum
$B seq 1 20000 | $B sort -r -n | $B uniq | $B tr 0-9 a-j | $B md5sum
i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; echo $((i * 0x7fffffffffff % 1000003))
$B seq 1 2000 | $B sed 's/1/one/g; s/2$/two/' | $B grep -c one
$B head -c 300000 $D | $B base64 | $B sha256sum
$B head -c 300000 $D | $B od -x | $B cut -d' ' -f2- | $B fold -w 60 | $B md5sum
";

/// One test: the whole list.
pub fn cases() -> Vec<Case> {
    vec![
        Case::new("results/checksums-match-the-hosts", checksums),
        Case::new("results/checksums-of-a-32-bit-program", checksums_of_i386),
        Case::new("results/workloads-run", workloads),
    ]
}

fn checksums(lab: &Lab) -> anyhow::Result<()> {
    compare(lab, &Setup::script("results", &guest_work("/bin/busybox")))
}

/// A 32-bit program on the 64-bit kernel. The host's is 64-bit; numbers of AWK that are not whole depend on that.
fn checksums_of_i386(lab: &Lab) -> anyhow::Result<()> {
    let mut setup = Setup::script("results-i386", &guest_work("/bin/busybox-i386"));
    setup.script = setup.script.with_i386();
    compare(lab, &setup)
}

fn guest_work(busybox: &str) -> String {
    format!("B={busybox}; D=/bin/busybox; echo begin; {WORK}\necho end")
}

fn on_host(lab: &Lab) -> anyhow::Result<String> {
    let busybox = lab.images().busybox()?;
    let directory = tempfile::tempdir()?;
    let program = directory.path().join("busybox");
    std::fs::copy(busybox, &program)?;
    let work = format!("chmod +x {0}; B={0}; D={0}; {WORK}", program.display());
    Ok(String::from_utf8(Command::new("sh").arg("-c").arg(work).output()?.stdout)?)
}

fn compare(lab: &Lab, setup: &Setup) -> anyhow::Result<()> {
    let host = on_host(lab)?;
    let said = lab.run_script(setup)?;
    let begin = said.find("begin\n").map_or(0, |at| at + "begin\n".len());
    let end = said.rfind("end\n").unwrap_or(said.len());
    let guest = &said[begin..end.max(begin)];
    ensure!(host.lines().count() == 15, "the host computed too little:\n{host}");
    let lines = host.lines().zip(guest.lines()).zip(1..);
    // x87 has other precision than SSE.
    let differs =
        |line: &((&str, &str), i32)| line.0.0 != line.0.1 && !(setup.script.wants_i386() && line.1 == 9);
    let differences: Vec<_> = lines.filter(differs).map(|(pair, n)| format!("line {n}: {pair:?}")).collect();
    ensure!(differences.is_empty(), "host and guest differ:\n{}", differences.join("\n"));
    ensure!(host.lines().count() == guest.lines().count(), "the guest said:\n{guest}\nthe host:\n{host}");
    Ok(())
}

fn workloads(lab: &Lab) -> anyhow::Result<()> {
    let text = include_str!("../../../../benches/guest-workloads.sh");
    let said = lab.run_script(&Setup::script("workloads", text))?;
    let rows = text.lines().filter_map(|line| line.strip_prefix("bench ")?.split_whitespace().next());
    for row in rows {
        ensure!(said.contains(&format!("BENCH {row} ")), "no result of {row} in:\n{said}");
    }
    Ok(())
}
