//! The sections of the configuration, in the order of the documentation.

use causeway_auth::opaque_string;
use causeway_daemon::admin::AdminSchema;
use causeway_daemon::config::{Listen, Problem};
use causeway_daemon::log::Log;
use causeway_daemon::tls::TlsSchema;
use causeway_daemon::workers::Net;
use serde::Deserialize;

use super::accounting::Accounting;
use super::auth::AuthSchema;
use super::flags::Insecure;
use super::limits::Limits;
use super::peers::Peers;
use super::protocol::Protocol;
use super::relay::RelaySchema;
use super::store::StoreSchema;
use super::{Config, PORT, SECURE_PORT, across};

/// The keys. A section whose values need files, or each other, is resolved; the others are final.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Schema {
    #[serde(default)]
    realm: String,
    listen: Option<Vec<Listen>>,
    relay: RelaySchema,
    auth: AuthSchema,
    peers: Peers,
    limits: Limits,
    protocol: Protocol,
    #[serde(default)]
    tls: TlsSchema,
    admin: AdminSchema,
    log: Log,
    net: Net,
    accounting: Accounting,
    store: StoreSchema,
}

impl Schema {
    /// Checks all sections and resolves those that need it.
    ///
    /// # Errors
    /// The problems of all sections, so that one run shows them together.
    pub(crate) fn resolve(self, insecure: Insecure) -> Result<Config, Vec<Problem>> {
        let mut problems = Vec::new();
        let has_certificate = self.tls.is_named();
        let listen =
            self.listen.unwrap_or_else(|| Listen::defaults(PORT, SECURE_PORT, has_certificate));
        let realm = realm(&self.realm).map_err(|problem| problems.push(problem)).ok();
        problems.extend(Listen::problems(&listen, has_certificate));
        let relay = noted(self.relay.resolve(&listen), &mut problems);
        let auth = noted(self.auth.resolve(), &mut problems);
        problems.extend(self.peers.check(insecure));
        problems.extend(self.limits.check());
        problems.extend(self.protocol.check());
        let tls = noted(self.tls.resolve(), &mut problems);
        let admin = noted(self.admin.resolve(), &mut problems);
        problems.extend(self.net.check());
        problems.extend(self.accounting.check());
        let store = noted(self.store.resolve(self.accounting.stream_entries), &mut problems);
        let from_store = auth.as_ref().is_some_and(|auth| auth.from_store.is_some());
        if from_store && matches!(store, Some(None)) {
            problems.push(
                Problem::new("auth.from_store", "there is no store to read users from")
                    .hint("set store.url"),
            );
        }
        problems.extend(across(&listen, relay.as_ref(), admin.as_ref()));
        let (Some(realm), Some(relay), Some(auth), Some(tls), Some(admin), Some(store)) =
            (realm, relay, auth, tls, admin, store)
        else {
            return Err(problems);
        };
        if !problems.is_empty() {
            return Err(problems);
        }
        let Schema { peers, limits, protocol, log, net, accounting, .. } = self;
        Ok(Config {
            realm,
            listen,
            relay,
            auth,
            peers,
            limits,
            protocol,
            tls,
            admin,
            log,
            net,
            accounting,
            store,
            insecure,
        })
    }
}

/// The value; on failure its problems are added to the others.
fn noted<T>(outcome: Result<T, Vec<Problem>>, problems: &mut Vec<Problem>) -> Option<T> {
    outcome.map_err(|mut found| problems.append(&mut found)).ok()
}

/// The realm after OpaqueString. RFC 8489 §14.9: "a UTF-8-encoded sequence of fewer than 128
/// characters"; here it has at least one.
fn realm(text: &str) -> Result<String, Problem> {
    let problem = |what: String| Err(Problem::new("realm", what));
    match text.chars().count() {
        0 => problem("no realm".into())
            .map_err(|problem| problem.hint("name one, usually your domain: --realm example.org")),
        128.. => problem(
            "the text is too long; the maximum is 127 characters, RFC 8489 wants fewer than 128"
                .into(),
        ),
        _ if text.contains(['"', '\\']) || text.contains(char::is_control) => {
            problem(format!("{text:?} contains a quote, a backslash or a control character"))
        }
        _ => match opaque_string(text) {
            Ok(realm) => Ok(realm.into_owned()),
            Err(error) => problem(format!("{text:?} is not valid: {error}")),
        },
    }
}
