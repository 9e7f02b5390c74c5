//! Runs a program that may not make a system call, as sandboxes have it: `lab-sandbox netlink
//! PROGRAM ARGUMENT…` refuses netlink sockets (systemd's `RestrictAddressFamilies`), `lab-sandbox
//! connect PROGRAM ARGUMENT…` refuses to connect sockets.

#![allow(clippy::print_stderr)] // what drives it reads to the end

use std::collections::BTreeMap;
use std::error::Error;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(denied), Some(program)) = (arguments.next(), arguments.next()) else {
        eprintln!("lab-sandbox netlink|connect PROGRAM ARGUMENT...");
        return ExitCode::from(2);
    };
    if let Err(error) = deny(&denied.to_string_lossy()) {
        eprintln!("lab-sandbox: {error}");
        return ExitCode::FAILURE;
    }
    let error = Command::new(&program).args(arguments).exec();
    eprintln!("lab-sandbox: {}: {error}", program.display());
    ExitCode::FAILURE
}

/// For this process and all that it becomes.
fn deny(what: &str) -> Result<(), Box<dyn Error>> {
    let (call, rules, refusal) = match what {
        "netlink" => {
            let netlink = SeccompCondition::new(
                0,
                SeccompCmpArgLen::Dword,
                SeccompCmpOp::Eq,
                libc::AF_NETLINK as u64,
            )?;
            (libc::SYS_socket, vec![SeccompRule::new(vec![netlink])?], libc::EAFNOSUPPORT)
        }
        "connect" => (libc::SYS_connect, Vec::new(), libc::EPERM),
        other => return Err(format!("{other:?} is none of netlink, connect").into()),
    };
    let architecture: TargetArch = std::env::consts::ARCH.try_into()?;
    let refuse = SeccompAction::Errno(refusal as u32);
    let filter = SeccompFilter::new(
        BTreeMap::from([(call, rules)]),
        SeccompAction::Allow,
        refuse,
        architecture,
    )?;
    let program: BpfProgram = filter.try_into()?;
    Ok(apply_filter(&program)?)
}
