//! The programs that the tests use and that are not Rust crates. As root on Debian or Ubuntu,
//! missing ones are installed.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use causeway_cli::print_line;

use crate::command::{command, go, output_of, run_until};
use crate::system::System;

/// A program that must be on the path, and the package that contains it.
struct Tool {
    program: &'static str,
    /// The name of the package on Debian.
    package: &'static str,
    used_by: &'static str,
    /// The arguments that print its version; none if it has no such flag. The version is shown,
    /// because the packages of a distribution change.
    version: &'static [&'static str],
    /// The minimum version.
    least: Option<Version>,
}

/// The first two numbers of a version.
type Version = (u32, u32);

const fn tool(
    program: &'static str,
    package: &'static str,
    used_by: &'static str,
    version: &'static [&'static str],
) -> Tool {
    Tool { program, package, used_by, version, least: None }
}

impl Tool {
    const fn least(self, major: u32, minor: u32) -> Self {
        Tool { least: Some((major, minor)), ..self }
    }
}

const TOOLS: &[Tool] = &[
    tool("cc", "gcc", "build", &["--version"]),
    tool("make", "make", "build", &["--version"]),
    tool("perl", "perl", "build", &["-e", "print $^V"]),
    tool("x86_64-w64-mingw32-gcc", "gcc-mingw-w64-x86-64", "windows", &["--version"]),
    tool("musl-gcc", "musl-tools", "static", &["--version"]),
    tool("readelf", "binutils", "static", &["--version"]),
    tool("ip", "iproute2", "natlab", &["-V"]),
    tool("nft", "nftables", "natlab", &["--version"]),
    tool("baresip", "baresip", "natlab", &[]),
    tool("miniupnpd", "miniupnpd-nftables", "natlab", &["--version"]),
    tool("turnutils_uclient", "coturn", "interop", &[]),
    tool("turnutils_peer", "coturn", "interop", &[]),
    tool("turnutils_stunclient", "coturn", "interop", &[]),
    tool("turnutils_natdiscovery", "coturn", "interop", &[]),
    tool("openssl", "openssl", "interop", &["version"]),
    tool("faketime", "faketime", "interop", &[]),
    // The packages in tests/interop/node need it.
    tool("node", "nodejs", "interop", &["--version"]).least(20, 0),
    // The lock file's version.
    tool("npm", "npm", "interop", &["--version"]).least(7, 0),
    // tests/chart/helm and tests/interop/pion need it.
    tool("go", "golang-go", "interop, chart", &["version"]).least(1, 26),
    tool("chromium", "chromium", "interop", &["--version"]),
    tool("nginx", "nginx", "interop", &[]),
    tool("haproxy", "haproxy", "interop", &["-v"]),
    tool("certutil", "libnss3-tools", "interop", &[]),
    tool("redis-server", "redis-server", "store", &["--version"]).least(6, 2),
    // The packages in tests/chart/schemas need it.
    tool("python3", "python3", "interop, chart, store", &["--version"]).least(3, 11),
];

/// Packages that start a service where systemd runs. The tests only need their programs.
const SERVICES: &[&str] = &["coturn", "redis-server", "nginx", "haproxy"];

/// Installs the tools that are missing, where that is possible, and checks all versions.
///
/// # Errors
/// Names the tools that are missing or too old.
pub(crate) fn provide(deadline: Instant) -> Result<()> {
    let system = System::here();
    let missing: Vec<&Tool> = missing_tools().collect();
    let mut packages: Vec<&str> = missing
        .iter()
        .map(|tool| tool.package)
        .filter(|package| system.package(package).is_ok())
        .collect();
    if !python_has_venv() {
        packages.extend(["python3", "python3-venv"]);
    }
    if !python_has_libnice() {
        packages.extend(["gir1.2-nice-0.1", "python3-gi"]);
    }
    packages.sort_unstable();
    packages.dedup();
    let installs = is_root() && is_there("apt-get") && system.has_debian_packages();
    if !packages.is_empty() && installs {
        install(&packages, deadline)?;
    }
    let mut complaints = Vec::new();
    for tool in TOOLS {
        match tool.check() {
            Ok(version) => print_line(format_args!("{:28} {version}", tool.program))?,
            Err(error) => complaints.push(format!("{error:#}")),
        }
    }
    if !python_has_venv() {
        complaints.push("python3 has no module venv (used by interop, chart, store)".to_owned());
    }
    if !python_has_libnice() {
        complaints.push("/usr/bin/python3 has no libnice (used by interop)".to_owned());
    }
    if complaints.is_empty() {
        return Ok(());
    }
    if !packages.is_empty() && !installs {
        complaints.push(system.how_to_install(&packages));
    }
    bail!("{}", complaints.join("\n"))
}

/// Checks that the program is installed, in a version that is new enough.
///
/// # Errors
/// It is missing or too old.
pub(crate) fn check(program: &str) -> Result<()> {
    let tool = TOOLS
        .iter()
        .find(|tool| tool.program == program)
        .with_context(|| format!("{program} is not in the table of tools"))?;
    tool.check().map(drop)
}

impl Tool {
    /// Its version, shortened; "there" if it prints none.
    fn check(&self) -> Result<String> {
        let Tool { program, used_by, .. } = *self;
        if !is_there(program) {
            let cure = System::here().package(self.package).err().map(|cure| format!(": {cure}"));
            bail!("{program} is not installed (used by {used_by}){}", cure.unwrap_or_default());
        }
        let mut asks =
            if program == "go" { go(self.version) } else { command(program, self.version) };
        let said = if self.version.is_empty() { None } else { output_of(&mut asks) };
        let said = said.as_deref().and_then(|said| said.lines().find(|line| !line.is_empty()));
        if let Some((major, minor)) = self.least {
            let found = said.and_then(version_in);
            let found = found.with_context(|| {
                format!("{program} does not print its version (used by {used_by})")
            })?;
            ensure!(
                found >= (major, minor),
                "{program} {}.{} is too old (used by {used_by}): it must be {major}.{minor} or newer; {}",
                found.0,
                found.1,
                System::here().newer(self.package)
            );
        }
        Ok(said.map_or_else(|| "there".to_owned(), |said| said.chars().take(80).collect()))
    }
}

/// The first "N.N" in the text.
fn version_in(text: &str) -> Option<Version> {
    let mut numbers = text
        .split(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .filter(|part| part.contains('.'));
    numbers.find_map(|number| {
        let mut parts = number.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    })
}

fn missing_tools() -> impl Iterator<Item = &'static Tool> {
    TOOLS.iter().filter(|tool| !is_there(tool.program))
}

fn install(packages: &[&str], deadline: Instant) -> Result<()> {
    run_until(apt().args(["update", "-q"]), deadline)?;
    run_until(
        apt().args(["install", "-y", "-q", "--no-install-recommends"]).args(packages),
        deadline,
    )?;
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
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}

fn python_has_venv() -> bool {
    output_of(&mut command("python3", &["-c", "import venv, ensurepip"])).is_some()
}

fn python_has_libnice() -> bool {
    let import = "import gi; gi.require_version('Nice', '0.1'); from gi.repository import Nice";
    output_of(&mut command("/usr/bin/python3", &["-c", import])).is_some()
}

/// Whether we may install packages, and change the root of a process.
pub(crate) fn is_root() -> bool {
    output_of(&mut command("id", &["-u"])).is_some_and(|id| id.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_in_what_programs_say() {
        let said = [
            "go version go1.26.8 linux/amd64",
            "v20.20.2",
            "Redis server v=7.0.15 sha=00000000:0 malloc",
            "Python 3.11.7",
            "11.19.1",
        ];
        assert_eq!(
            said.map(version_in),
            [Some((1, 26)), Some((20, 20)), Some((7, 0)), Some((3, 11)), Some((11, 19))]
        );
        assert_eq!(version_in("coturn, of some day."), None);
    }

    #[test]
    fn a_tool_that_is_too_old_or_missing_is_refused_with_the_cure() {
        let refused = |tool: Tool| format!("{:#}", tool.check().expect_err("it is refused"));
        let old = refused(tool("make", "make", "nothing", &["--version"]).least(99, 1));
        assert!(old.contains("is too old (used by nothing): it must be 99.1 or newer; "), "{old}");
        let missing = refused(tool("no-such-program", "none", "nothing", &[]));
        assert!(
            missing.starts_with("no-such-program is not installed (used by nothing)"),
            "{missing}"
        );
    }
}
