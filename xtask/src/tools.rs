//! The programs that the tests use and that are not Rust crates: found, or installed from Debian when we are root.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::command::{command, output_of, run_until};

/// A program that must be on the path, and the Debian package that brings it.
struct Tool {
    program: &'static str,
    package: &'static str,
    used_by: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool { program: "cc", package: "gcc", used_by: "build" },
    Tool { program: "make", package: "make", used_by: "build" },
    Tool { program: "perl", package: "perl", used_by: "build" },
    Tool { program: "x86_64-w64-mingw32-gcc", package: "gcc-mingw-w64-x86-64", used_by: "windows" },
    Tool { program: "ip", package: "iproute2", used_by: "natlab" },
    Tool { program: "nft", package: "nftables", used_by: "natlab" },
    Tool { program: "baresip", package: "baresip", used_by: "natlab" },
    Tool { program: "miniupnpd", package: "miniupnpd-nftables", used_by: "natlab" },
    Tool { program: "turnutils_uclient", package: "coturn", used_by: "interop" },
    Tool { program: "turnutils_peer", package: "coturn", used_by: "interop" },
    Tool { program: "turnutils_stunclient", package: "coturn", used_by: "interop" },
    Tool { program: "turnutils_natdiscovery", package: "coturn", used_by: "interop" },
    Tool { program: "openssl", package: "openssl", used_by: "interop" },
    Tool { program: "faketime", package: "faketime", used_by: "interop" },
    Tool { program: "nginx", package: "nginx", used_by: "interop" },
    Tool { program: "haproxy", package: "haproxy", used_by: "interop" },
    Tool { program: "node", package: "nodejs", used_by: "interop" },
    Tool { program: "npm", package: "npm", used_by: "interop" },
    Tool { program: "go", package: "golang-go", used_by: "interop; 1.25 or newer" },
    Tool { program: "chromium", package: "chromium", used_by: "interop" },
    Tool { program: "certutil", package: "libnss3-tools", used_by: "interop" },
    Tool { program: "redis-server", package: "redis-server", used_by: "store" },
];

/// Packages that start a server of their own where systemd runs: we only come for their programs.
const SERVICES: &[&str] = &["coturn", "redis-server", "nginx", "haproxy"];

/// Sees to it that every tool is there.
///
/// # Errors
/// Names what is missing and could not be installed.
pub(crate) fn provide(deadline: Instant) -> Result<()> {
    let mut missing: Vec<String> = missing_tools().map(|tool| format!("{} (for {})", tool.program, tool.used_by)).collect();
    let mut packages: Vec<&str> = missing_tools().map(|tool| tool.package).collect();
    if !python_has_venv() {
        missing.push("python3 with venv (for interop)".to_owned());
        packages.extend(["python3", "python3-venv"]);
    }
    if !python_has_libnice() {
        missing.push("libnice for /usr/bin/python3 (for interop)".to_owned());
        packages.extend(["gir1.2-nice-0.1", "python3-gi"]);
    }
    packages.sort_unstable();
    packages.dedup();
    if !packages.is_empty() {
        if !is_root() || !is_there("apt-get") {
            bail!("missing: {}; Debian has them in {}", missing.join(", "), packages.join(", "));
        }
        install(&packages, deadline)?;
    }
    for tool in TOOLS {
        causeway_cli::print_line(format_args!("{:28} {}", tool.program, if is_there(tool.program) { "there" } else { "MISSING" }))?;
    }
    match missing_tools().next() {
        Some(tool) => bail!("{} is still missing", tool.program),
        None => Ok(()),
    }
}

fn missing_tools() -> impl Iterator<Item = &'static Tool> {
    TOOLS.iter().filter(|tool| !is_there(tool.program))
}

fn install(packages: &[&str], deadline: Instant) -> Result<()> {
    run_until(apt().args(["update", "-q"]), deadline)?;
    run_until(apt().args(["install", "-y", "-q", "--no-install-recommends"]).args(packages), deadline)?;
    for service in SERVICES.iter().filter(|service| packages.contains(service)) {
        if Path::new("/run/systemd/system").exists() {
            run_until(&mut command("systemctl", &["disable", "--now", service]), deadline)?;
        }
    }
    Ok(())
}

fn apt() -> Command {
    let mut apt = command("apt-get", &[]);
    // In this run level no package starts its service, where there is no systemd.
    apt.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    apt
}

/// Whether the program is somewhere on the path.
pub(crate) fn is_there(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

fn python_has_venv() -> bool {
    output_of(&mut command("python3", &["-c", "import venv, ensurepip"])).is_some()
}

fn python_has_libnice() -> bool {
    let import = "import gi; gi.require_version('Nice', '0.1'); from gi.repository import Nice";
    output_of(&mut command("/usr/bin/python3", &["-c", import])).is_some()
}

fn is_root() -> bool {
    output_of(&mut command("id", &["-u"])).is_some_and(|id| id.trim() == "0")
}
