//! The certificates of the lab's servers, made by the openssl program: a chain of three, whose root
//! clients are told to trust.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::namespace::run;
use crate::plan::{SERVER_IPV4, SERVER_IPV6};
use crate::{LabError, Scratch};

/// The name in the server's certificate, beside its addresses.
pub const NAME: &str = "relay.natlab.example";

const SCRIPT: &str = r#"set -e
authority='basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash'
printf '%s\n' "$authority" > authority
printf '%s\n' 'basicConstraints=critical,CA:FALSE' 'keyUsage=critical,digitalSignature,keyEncipherment' \
  'extendedKeyUsage=serverAuth' "subjectAltName=$NAMES" > server
for name in root intermediate leaf; do
  openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $name.key
  openssl req -new -key $name.key -subj /CN=NAT_lab_$name -out $name.csr
done
openssl x509 -req -in root.csr -signkey root.key -days 2 -extfile authority -out root.pem
openssl x509 -req -in intermediate.csr -CA root.pem -CAkey root.key -set_serial 2 -days 2 -extfile authority -out intermediate.pem
openssl x509 -req -in leaf.csr -CA intermediate.pem -CAkey intermediate.key -set_serial 3 -days 2 -extfile server -out leaf.pem
"#;

/// What [`SCRIPT`] makes, as PEM.
#[derive(Debug)]
struct Made {
    chain: String,
    key: String,
    root: String,
}

/// The files of one server.
#[derive(Debug, Clone)]
pub(crate) struct Certificates {
    /// The server's own certificate and the intermediate one.
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
    /// For its clients.
    pub(crate) root: PathBuf,
}

impl Certificates {
    /// Writes them into `scratch`. A process makes them once.
    pub(crate) fn write(scratch: &Scratch) -> Result<Self, LabError> {
        static MADE: OnceLock<Result<Made, String>> = OnceLock::new();
        let made = MADE.get_or_init(|| make().map_err(|error| error.to_string()));
        let made = made.as_ref().map_err(|error| LabError::Unexpected(error.clone()))?;
        Ok(Self {
            chain: scratch.file("chain.pem", &made.chain)?,
            key: scratch.file("key.pem", &made.key)?,
            root: scratch.file("root.pem", &made.root)?,
        })
    }
}

fn make() -> Result<Made, LabError> {
    let scratch = Scratch::new()?;
    let addresses = SERVER_IPV4
        .map(|ip| format!("IP:{ip}"))
        .into_iter()
        .chain(SERVER_IPV6.map(|ip| format!("IP:{ip}")));
    let names: Vec<String> = addresses.chain([format!("DNS:{NAME}")]).collect();
    let mut command = Command::new("sh");
    command.arg("-s").current_dir(scratch.path()).env("NAMES", names.join(","));
    run(&mut command, SCRIPT)?;
    let read = |name: &str| {
        std::fs::read_to_string(scratch.path().join(name))
            .map_err(LabError::io(format!("reading {name}")))
    };
    Ok(Made {
        chain: format!("{}{}", read("leaf.pem")?, read("intermediate.pem")?),
        key: read("leaf.key")?,
        root: read("root.pem")?,
    })
}
