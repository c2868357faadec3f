//! What a machine's process gives up once its cards have their cables: all networks. The translator runs the guest's code as
//! the host's, so a bug in it finds nothing there that leads out; the network's process has the sockets.
use std::collections::BTreeMap;

use rustix::thread::set_no_new_privs;
use seccompiler::{BpfProgram, SeccompAction, SeccompCmpOp, SeccompFilter, TargetArch};

use super::JailError;
use super::system_calls::{condition, rule};

/// Numbers of the x32 ABI have this bit.
const X32: libc::c_long = 0x4000_0000;

/// Closes all sockets that are not local ones, for all threads that there are and will be.
pub fn give_up_networks() -> Result<(), JailError> {
    set_no_new_privs(true).map_err(JailError::Privileges)?;
    install(&program()?)
}

fn program() -> Result<BpfProgram, seccompiler::BackendError> {
    let not_local = || rule([condition(0, SeccompCmpOp::Ne, libc::AF_UNIX)]);
    let mut rules = BTreeMap::new();
    for call in [libc::SYS_socket, libc::SYS_socket | X32] {
        rules.insert(call, vec![not_local()?]);
    }
    // It makes sockets as well, which no filter sees.
    rules.insert(libc::SYS_io_uring_setup, Vec::new());
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, refused, TargetArch::x86_64)?.try_into()
}

/// As [`seccompiler::apply_filter_all_threads`], but without the slower stores that kernels before 5.16 take a filter as the
/// wish for (`SECCOMP_FILTER_FLAG_SPEC_ALLOW`, seccomp(2)): secrets of other guests are not in this process.
#[expect(unsafe_code, reason = "there is no safe way to ask for these flags")]
fn install(program: &BpfProgram) -> Result<(), JailError> {
    let filter: Vec<libc::sock_filter> = program
        .iter()
        .map(|one| libc::sock_filter { code: one.code, jt: one.jt, jf: one.jf, k: one.k })
        .collect();
    let length = libc::c_ushort::try_from(filter.len()).unwrap_or(libc::c_ushort::MAX);
    let program = libc::sock_fprog { len: length, filter: filter.as_ptr().cast_mut() };
    let flags = libc::SECCOMP_FILTER_FLAG_TSYNC | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    // SAFETY: the program and its instructions live until the call returns, and the kernel only reads them.
    let done =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    match done {
        0 => Ok(()),
        // The number of a thread that could not follow, or an error.
        1.. => Err(JailError::Follow(done)),
        _ => Err(JailError::Machine(std::io::Error::last_os_error())),
    }
}
