//! The shape of the text: sections, in the order of the documentation.

use causeway_daemon::admin::{AdminSchema, AdminSettings};
use causeway_daemon::config::{Listen, Problem};
use causeway_daemon::log::Log;
use causeway_daemon::tls::TlsSchema;
use causeway_daemon::workers::NetSchema;
use serde::Deserialize;

use super::limits::LimitsSchema;
use super::nat_discovery::{NatDiscovery, NatDiscoverySchema};
use super::{ADMIN, Config, PORT, SECURE_PORT};

/// The keys, as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Schema {
    listen: Option<Vec<Listen>>,
    nat_discovery: NatDiscoverySchema,
    limits: LimitsSchema,
    tls: TlsSchema,
    admin: AdminSchema,
    log: Log,
    net: NetSchema,
}

impl Schema {
    /// Turns the keys into what they mean, or says everything that is wrong with them.
    pub(crate) fn resolve(self) -> Result<Config, Vec<Problem>> {
        let mut problems = Vec::new();
        let has_certificate = self.tls.is_named();
        let listen =
            self.listen.unwrap_or_else(|| Listen::defaults(PORT, SECURE_PORT, has_certificate));
        if listen.is_empty() {
            problems.push(
                Problem::new("listen", "the list is empty")
                    .hint("name an address, or leave the key out"),
            );
        }
        problems.extend(Listen::problems(&listen, has_certificate));
        let (nat_discovery, outside) =
            noted(self.nat_discovery.resolve(&listen), &mut problems).unzip();
        let limits = noted(self.limits.resolve(), &mut problems);
        let tls = noted(self.tls.resolve(), &mut problems);
        let admin = noted(self.admin.resolve(ADMIN), &mut problems);
        let net = noted(self.net.resolve(), &mut problems);
        problems.extend(admin_problem(
            &listen,
            nat_discovery.as_deref().unwrap_or_default(),
            admin.as_ref(),
        ));
        match (nat_discovery.zip(outside), limits, tls, admin, net) {
            (Some((nat_discovery, outside)), Some(limits), Some(tls), Some(admin), Some(net))
                if problems.is_empty() =>
            {
                Ok(Config {
                    listen,
                    nat_discovery,
                    outside,
                    limits,
                    tls,
                    admin,
                    log: self.log,
                    net,
                })
            }
            _ => Err(problems),
        }
    }
}

/// The value, or a note of what is wrong.
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
    let what = format!("{clash} is listened on for STUN too");
    Some(Problem::new("admin.listen", what).hint("give each a port of its own"))
}
