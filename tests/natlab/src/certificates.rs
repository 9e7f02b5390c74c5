//! The certificates of the lab's servers: a chain of three, whose root clients are told to trust.

use std::path::PathBuf;
use std::sync::OnceLock;

use causeway_kit::Scratch;
use causeway_kit::certificates::{Authority, Files, ServerCertificate};

use crate::plan::{SERVER_IPV4, SERVER_IPV6};

/// The name in the server's certificate, beside its addresses.
pub const NAME: &str = "relay.natlab.example";

/// The files of one server.
#[derive(Debug, Clone)]
pub(crate) struct Certificates {
    /// The server's own certificate and the intermediate one, and the key.
    pub(crate) server: Files,
    /// The root certificate that its clients trust.
    pub(crate) root: PathBuf,
}

impl Certificates {
    /// Writes them into `scratch`. A process makes them once.
    pub(crate) fn write(scratch: &Scratch) -> Self {
        static MADE: OnceLock<(Authority, ServerCertificate)> = OnceLock::new();
        let (authority, server) = MADE.get_or_init(|| {
            let authority = Authority::new();
            let addresses = SERVER_IPV4.map(|ip| ip.to_string()).into_iter();
            let addresses = addresses.chain(SERVER_IPV6.map(|ip| ip.to_string()));
            let names: Vec<String> = [NAME.to_owned()].into_iter().chain(addresses).collect();
            let server = authority.server(&names.iter().map(String::as_str).collect::<Vec<_>>());
            (authority, server)
        });
        Self { server: server.write(scratch), root: scratch.write("root.pem", authority.root()) }
    }
}
