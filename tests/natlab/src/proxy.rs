//! The HTTP proxy of a site, on the box that lets nothing else out.

use std::net::SocketAddr;
use std::time::Duration;

use crate::services::Services;
use crate::{LabError, Process, Site, binary};

const PORT: u16 = 3128;
const START: Duration = Duration::from_secs(10);

/// Where the clients of a site find it.
pub(crate) fn address(site: &Site) -> SocketAddr {
    SocketAddr::new(site.gateway(), PORT)
}

/// The running proxy; dropping it ends the process.
#[derive(Debug)]
pub struct HttpProxy(Process);

impl HttpProxy {
    /// Starts it on the innermost box of `site`. Requests that are no CONNECT are for the
    /// rendezvous.
    ///
    /// # Errors
    /// [`LabError`] when it does not come up, or the site has no box.
    pub fn start(site: &Site, services: &Services) -> Result<Self, LabError> {
        let gateway = site
            .boxes
            .last()
            .ok_or_else(|| LabError::Unexpected("a site without a box has no proxy".to_owned()))?;
        let mut command = gateway.namespace.command(binary("lab-proxy")?);
        command.args([address(site).to_string(), services.rendezvous().to_string()]);
        let mut process = Process::start("lab-proxy", command)?;
        process.wait_line("listening", START)?;
        Ok(Self(process))
    }

    /// How many tunnels it has opened so far, and how many requests for one it has refused.
    #[must_use]
    pub fn tunnels(&self) -> [usize; 2] {
        let output = self.0.output();
        ["opened ", "refused "]
            .map(|word| output.lines().filter(|line| line.starts_with(word)).count())
    }
}
