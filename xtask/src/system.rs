//! The distribution of this machine, from `/etc/os-release`, and its names of packages.

/// A distribution, by the names that it gives to packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum System {
    Debian,
    /// Ubuntu and distributions made from it.
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

    /// The name of a package on this distribution, from its name on Debian.
    ///
    /// # Errors
    /// There is no such package here; the text says what to do instead.
    pub(crate) fn package<'a>(&self, debian: &'a str) -> Result<&'a str, &'static str> {
        match (self, debian) {
            (System::Ubuntu, "chromium") => Err(
                "Ubuntu has Chromium only as a snap: run `snap install chromium` and put /snap/bin on \
                the path. A snap has a /tmp of its own, so set TMPDIR to a folder in your home for the \
                tests",
            ),
            (_, package) => Ok(package),
        }
    }

    /// How a user installs these packages, by their names on Debian.
    pub(crate) fn how_to_install(&self, packages: &[&str]) -> String {
        let packages = packages.join(" ");
        match self {
            System::Debian | System::Ubuntu => {
                format!("install them with: sudo apt-get install {packages}")
            }
            System::Other(name) => format!(
                "on Debian the packages are {packages}; {name} may have other names for them"
            ),
        }
    }

    /// How a user gets a newer version of the package.
    pub(crate) fn newer(&self, debian: &str) -> &'static str {
        match (self, debian) {
            (System::Debian, "golang-go" | "nodejs" | "npm") => {
                "Debian's package may be too old: install it from backports or from its authors, and put \
                it first on the path"
            }
            (System::Ubuntu, "golang-go") => {
                "Ubuntu's golang-go may be too old: install a package such as golang-1.26 and put \
                /usr/lib/go-1.26/bin first on the path"
            }
            _ => "install a newer version and put it first on the path",
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
                .contains("fedora may have other names for them")
        );
    }
}
