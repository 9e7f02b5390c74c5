//! The distribution that we run on, as `/etc/os-release` says it, and what it calls packages.

/// A distribution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum System {
    Debian,
    /// And what is made from it.
    Ubuntu,
    /// Another one, by its name.
    Other(String),
}

impl System {
    pub(crate) fn here() -> Self {
        Self::of(&std::fs::read_to_string("/etc/os-release").unwrap_or_default())
    }

    fn of(release: &str) -> Self {
        let field = |name: &str| {
            let line = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.unwrap_or_default().trim_matches('"').to_owned()
        };
        let (id, like) = (field("ID"), field("ID_LIKE"));
        let is = |name: &str| id == name || like.split_whitespace().any(|one| one == name);
        match () {
            () if is("ubuntu") => System::Ubuntu,
            () if is("debian") => System::Debian,
            () if id.is_empty() => System::Other("this system".to_owned()),
            () => System::Other(id),
        }
    }

    pub(crate) fn has_debian_packages(&self) -> bool {
        matches!(self, System::Debian | System::Ubuntu)
    }

    /// The name here of a package that Debian calls so.
    ///
    /// # Errors
    /// It has no such package: what to do instead.
    pub(crate) fn package<'a>(&self, debian: &'a str) -> Result<&'a str, &'static str> {
        match (self, debian) {
            (System::Ubuntu, "chromium") => Err(
                "Ubuntu has Chromium only as a snap: `snap install chromium`, with /snap/bin on the path. \
                A snap sees no other /tmp than its own, so set TMPDIR to a folder in your home for the tests",
            ),
            (_, package) => Ok(package),
        }
    }

    /// What to do where we may not install the packages, which are called as Debian calls them.
    pub(crate) fn how_to_install(&self, packages: &[&str]) -> String {
        let packages = packages.join(" ");
        match self {
            System::Debian | System::Ubuntu => {
                format!("install them with: sudo apt-get install {packages}")
            }
            System::Other(name) => format!(
                "Debian has them in the packages {packages}; {name} may call them otherwise"
            ),
        }
    }

    /// Where a newer version of the package comes from.
    pub(crate) fn newer(&self, debian: &str) -> &'static str {
        match (self, debian) {
            (System::Debian, "golang-go" | "nodejs" | "npm") => {
                "Debian's own may be older: take it from backports, or from its makers, and put it first on the path"
            }
            (System::Ubuntu, "golang-go") => {
                "Ubuntu's golang-go may be older: a package such as golang-1.26 has its program in /usr/lib/go-1.26/bin; put it first on the path"
            }
            _ => "install a newer one, and put it first on the path",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distribution_is_read_from_its_release_file() {
        assert_eq!(
            System::of("NAME=\"Debian GNU/Linux\"\nID=debian\nVERSION_ID=\"12\"\n"),
            System::Debian
        );
        assert_eq!(System::of("ID=ubuntu\nID_LIKE=debian\n"), System::Ubuntu);
        assert_eq!(System::of("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"), System::Ubuntu);
        assert_eq!(System::of("ID=raspbian\nID_LIKE=debian\n"), System::Debian);
        assert_eq!(System::of("ID=\"fedora\"\n"), System::Other("fedora".to_owned()));
        assert_eq!(System::of(""), System::Other("this system".to_owned()));
    }

    #[test]
    fn chromium_is_a_snap_on_ubuntu() {
        assert_eq!(System::Debian.package("chromium"), Ok("chromium"));
        assert!(
            System::Ubuntu
                .package("chromium")
                .is_err_and(|cure| cure.contains("snap install chromium"))
        );
        assert_eq!(System::Ubuntu.package("nftables"), Ok("nftables"));
        assert!(
            System::Other("fedora".to_owned())
                .how_to_install(&["gcc"])
                .contains("fedora may call them otherwise")
        );
    }
}
