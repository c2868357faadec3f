//! Which system calls a network's process makes (seccomp(2)). Any other fails with EPERM.
use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

use super::JailError;

/// Allowed with any arguments.
#[rustfmt::skip]
const CALLS: &[c_long] = &[
    // Sockets; which may be made is below.
    libc::SYS_bind, libc::SYS_connect, libc::SYS_listen, libc::SYS_accept4, libc::SYS_shutdown,
    libc::SYS_sendmsg, libc::SYS_recvmsg, libc::SYS_sendmmsg, libc::SYS_recvmmsg, libc::SYS_sendto, libc::SYS_recvfrom,
    libc::SYS_setsockopt, libc::SYS_getsockopt, libc::SYS_getsockname, libc::SYS_getpeername,
    // Waiting.
    libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_wait, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2,
    libc::SYS_poll, libc::SYS_ppoll, libc::SYS_eventfd2, libc::SYS_signalfd4,
    libc::SYS_timerfd_create, libc::SYS_timerfd_settime, libc::SYS_timerfd_gettime,
    libc::SYS_nanosleep, libc::SYS_clock_nanosleep, libc::SYS_clock_gettime, libc::SYS_clock_getres,
    libc::SYS_gettimeofday, libc::SYS_restart_syscall,
    // Descriptors.
    libc::SYS_read, libc::SYS_write, libc::SYS_readv, libc::SYS_writev, libc::SYS_pread64, libc::SYS_pwrite64,
    libc::SYS_close, libc::SYS_close_range, libc::SYS_dup, libc::SYS_fcntl, libc::SYS_pipe2, libc::SYS_splice,
    libc::SYS_lseek,
    // Files: Landlock says which.
    libc::SYS_openat, libc::SYS_fstat, libc::SYS_newfstatat, libc::SYS_stat, libc::SYS_statx, libc::SYS_getdents64,
    libc::SYS_readlink, libc::SYS_readlinkat, libc::SYS_access, libc::SYS_faccessat, libc::SYS_faccessat2,
    libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_ftruncate, libc::SYS_flock, libc::SYS_fchmod,
    libc::SYS_rename, libc::SYS_renameat, libc::SYS_renameat2, libc::SYS_unlink, libc::SYS_unlinkat,
    libc::SYS_mkdir, libc::SYS_mkdirat,
    // Memory; none of it executable, below.
    libc::SYS_munmap, libc::SYS_madvise, libc::SYS_brk, libc::SYS_mremap,
    // Threads.
    libc::SYS_futex, libc::SYS_set_robust_list, libc::SYS_rseq, libc::SYS_sched_yield, libc::SYS_sched_getaffinity,
    libc::SYS_gettid, libc::SYS_getpid, libc::SYS_membarrier,
    // Its number is turned away before, so that the C library takes clone.
    libc::SYS_clone3,
    // Signals and the end.
    libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_sigaltstack,
    libc::SYS_exit, libc::SYS_exit_group,
    // Who and what.
    libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid, libc::SYS_getrandom,
    libc::SYS_getrusage, libc::SYS_uname, libc::SYS_capget,
];

/// Names of anonymous memory, which the C library gives.
const PR_SET_VMA: i32 = 0x5356_4d41;

/// Closes all system calls but those of the tables, for this thread and those that it starts.
pub fn close() -> Result<(), JailError> {
    let [first, second] = programs()?;
    apply_filter(&first)?;
    apply_filter(&second)?;
    Ok(())
}

fn programs() -> Result<[BpfProgram; 2], BackendError> {
    let refused = |number: i32| SeccompAction::Errno(number.unsigned_abs());
    let allowed =
        SeccompFilter::new(rules()?, refused(libc::EPERM), SeccompAction::Allow, TargetArch::x86_64)?;
    // The flags of clone3 are in memory, which a filter cannot see. Told that there is no such call, the C library takes
    // clone.
    let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let turned_away =
        SeccompFilter::new(clone3, SeccompAction::Allow, refused(libc::ENOSYS), TargetArch::x86_64)?;
    Ok([turned_away.try_into()?, allowed.try_into()?])
}

fn rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = CALLS.iter().map(|call| (*call, Vec::new())).collect();
    let any_of = |argument: u8, values: &[i32]| -> Result<Vec<SeccompRule>, BackendError> {
        values.iter().map(|value| rule([equal(argument, *value)])).collect()
    };
    let internet = [libc::AF_INET, libc::AF_INET6].map(|family| rule([equal(0, family)]));
    let routes = rule([equal(0, libc::AF_NETLINK), equal(2, libc::NETLINK_ROUTE)]);
    // Sockets between programs of this host would lead to servers that do what this process may not; those that are
    // needed are opened before.
    rules.insert(libc::SYS_socket, internet.into_iter().chain([routes]).collect::<Result<_, _>>()?);
    rules.insert(libc::SYS_socketpair, any_of(0, &[libc::AF_UNIX])?);
    let requests = [libc::FIONREAD, libc::FIONBIO, libc::TIOCOUTQ].map(|request| request as i32);
    rules.insert(libc::SYS_ioctl, any_of(1, &requests)?);
    rules.insert(libc::SYS_prctl, any_of(0, &[libc::PR_SET_NAME, libc::PR_GET_NAME, PR_SET_VMA])?);
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![rule([masked(2, libc::PROT_EXEC, 0)])?]);
    }
    rules.insert(libc::SYS_clone, vec![rule([masked(0, libc::CLONE_THREAD, libc::CLONE_THREAD)])?]);
    // Aborting: signals to itself.
    let own = rustix::process::getpid().as_raw_nonzero().get();
    rules.insert(libc::SYS_tgkill, any_of(0, &[own])?);
    Ok(rules)
}

pub(super) fn rule<const N: usize>(
    conditions: [Result<SeccompCondition, BackendError>; N],
) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(conditions.into_iter().collect::<Result<_, _>>()?)
}

fn equal(argument: u8, value: i32) -> Result<SeccompCondition, BackendError> {
    condition(argument, SeccompCmpOp::Eq, value)
}

/// What an argument of 32 bits is compared with.
pub(super) fn condition(
    argument: u8,
    comparison: SeccompCmpOp,
    value: i32,
) -> Result<SeccompCondition, BackendError> {
    let value = u64::from(value.cast_unsigned());
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, comparison, value)
}

fn masked(argument: u8, mask: i32, value: i32) -> Result<SeccompCondition, BackendError> {
    let (mask, value) = (u64::from(mask.cast_unsigned()), u64::from(value.cast_unsigned()));
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_make_programs() {
        let [first, second] = programs().unwrap();
        // BPF_MAXINSNS.
        assert!(first.len() < second.len() && second.len() < 4096);
    }

    #[test]
    fn nothing_that_leads_out_is_allowed() {
        let rules = rules().unwrap();
        for call in [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_fork,
            libc::SYS_vfork,
            libc::SYS_ptrace,
            libc::SYS_mount,
            libc::SYS_bpf,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_open,
            libc::SYS_kill,
            libc::SYS_io_uring_setup,
            libc::SYS_process_vm_writev,
            libc::SYS_memfd_create,
            libc::SYS_keyctl,
        ] {
            assert!(!rules.contains_key(&call), "{call}");
        }
    }
}
