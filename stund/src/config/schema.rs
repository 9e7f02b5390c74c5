//! The sections of the configuration, in the order of the documentation.

use causeway_daemon::admin::{AdminSchema, AdminSettings};
use causeway_daemon::config::{Listen, Problem};
use causeway_daemon::log::Log;
use causeway_daemon::tls::TlsSchema;
use causeway_daemon::workers::Net;
use serde::Deserialize;

use super::limits::Limits;
use super::nat_discovery::{NatDiscovery, NatDiscoverySchema};
use super::{Config, PORT, SECURE_PORT};

/// The keys. A section whose values need files, or each other, is resolved; the others are final.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Schema {
    listen: Option<Vec<Listen>>,
    #[serde(default)]
    nat_discovery: NatDiscoverySchema,
    limits: Limits,
    #[serde(default)]
    tls: TlsSchema,
    admin: AdminSchema,
    log: Log,
    net: Net,
}

impl Schema {
    /// Checks all sections and resolves those that need it. An error has the problems of all of
    /// them.
    pub(crate) fn resolve(self) -> Result<Config, Vec<Problem>> {
        let mut problems = Vec::new();
        let has_certificate = self.tls.is_named();
        let listen =
            self.listen.unwrap_or_else(|| Listen::defaults(PORT, SECURE_PORT, has_certificate));
        problems.extend(Listen::problems(&listen, has_certificate));
        let (nat_discovery, outside) =
            noted(self.nat_discovery.resolve(&listen), &mut problems).unzip();
        problems.extend(self.limits.check());
        let tls = noted(self.tls.resolve(), &mut problems);
        let admin = noted(self.admin.resolve(), &mut problems);
        problems.extend(self.net.check());
        problems.extend(admin_problem(
            &listen,
            nat_discovery.as_deref().unwrap_or_default(),
            admin.as_ref(),
        ));
        let Schema { limits, log, net, .. } = self;
        match (nat_discovery.zip(outside), tls, admin) {
            (Some((nat_discovery, outside)), Some(tls), Some(admin)) if problems.is_empty() => {
                Ok(Config { listen, nat_discovery, outside, limits, tls, admin, log, net })
            }
            _ => Err(problems),
        }
    }
}

/// The value; on failure its problems are added to the others.
fn noted<T>(outcome: Result<T, Vec<Problem>>, problems: &mut Vec<Problem>) -> Option<T> {
    outcome.map_err(|mut found| problems.append(&mut found)).ok()
}

fn admin_problem(
    listen: &[Listen],
    discovery: &[NatDiscovery],
    admin: Option<&AdminSettings>,
) -> Option<Problem> {
    let admin = admin?;
    let alternate = discovery
        .iter()
        .flat_map(NatDiscovery::endpoints)
        .find(|address| admin.listen == Some(*address));
    let clash = alternate.or_else(|| listen.iter().find_map(|listen| admin.clash(listen)))?;
    let what = format!("{clash} is a STUN listener, too");
    Some(Problem::new("admin.listen", what).hint("give each a port of its own"))
}
