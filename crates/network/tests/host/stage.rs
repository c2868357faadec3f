//! Where a test runs: again, as a process of its own, in namespaces of its own or as another user.
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Set in the process in which a test finds what it asked for.
const ON_STAGE: &str = "GASANG_TEST_STAGE";
/// A test that takes longer is stuck.
const TIME: Duration = Duration::from_secs(60);
/// Nobody.
const ORDINARY: u32 = 65_534;

/// Whether the test runs in a user namespace and a network namespace of its own, as root there. If not, it is run there,
/// and the caller has nothing left to do.
pub fn in_namespace(test: &str) -> bool {
    if is_on_stage() {
        return true;
    }
    let possible = Command::new("unshare").args(["-rn", "true"]).stderr(Stdio::null()).status();
    if !possible.is_ok_and(|status| status.success()) {
        eprintln!("skipped: this host lets you have no user namespaces, or has no unshare(1)");
        return false;
    }
    let mut command = Command::new("unshare");
    command.arg("-rn").arg(std::env::current_exe().unwrap());
    run(command, test);
    false
}

/// Whether the test runs as an ordinary user. If not, it is run so, and the caller has nothing left to do.
pub fn as_ordinary_user(test: &str) -> bool {
    if is_on_stage() || !rustix::process::geteuid().is_root() {
        return true;
    }
    // Where the program is, an ordinary user need not get.
    let directory = tempfile::tempdir().unwrap();
    let everybody = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory.path(), everybody.clone()).unwrap();
    let program = directory.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    std::fs::set_permissions(&program, everybody).unwrap();
    let mut command = Command::new(program);
    command.uid(ORDINARY).gid(ORDINARY).current_dir("/");
    run(command, test);
    false
}

fn is_on_stage() -> bool {
    std::env::var_os(ON_STAGE).is_some()
}

/// Runs one test of this program by the command, which is this program.
fn run(mut command: Command, test: &str) {
    command.args(["--exact", test, "--nocapture"]).env(ON_STAGE, "yes").process_group(0);
    let mut child = command.spawn().unwrap();
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begin.elapsed() > TIME {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{test} takes too long");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(status.success(), "{test}: {status}");
}
