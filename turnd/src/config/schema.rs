//! The shape of the text: sections, in the order of the documentation.

use causeway_auth::opaque_string;
use causeway_daemon::admin::AdminSchema;
use causeway_daemon::config::{Listen, Problem};
use causeway_daemon::log::Log;
use causeway_daemon::tls::TlsSchema;
use causeway_daemon::workers::NetSchema;
use serde::Deserialize;

use super::accounting::AccountingSchema;
use super::auth::AuthSchema;
use super::flags::Insecure;
use super::limits::LimitsSchema;
use super::peers::PeersSchema;
use super::protocol::ProtocolSchema;
use super::relay::RelaySchema;
use super::store::StoreSchema;
use super::{ADMIN, Config, PORT, SECURE_PORT, across};

/// The keys, as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Schema {
    realm: String,
    listen: Option<Vec<Listen>>,
    relay: RelaySchema,
    auth: AuthSchema,
    peers: PeersSchema,
    limits: LimitsSchema,
    protocol: ProtocolSchema,
    tls: TlsSchema,
    admin: AdminSchema,
    log: Log,
    net: NetSchema,
    accounting: AccountingSchema,
    store: StoreSchema,
}

impl Schema {
    /// Turns the keys into what they mean, or says everything that is wrong with them.
    ///
    /// # Errors
    /// All problems of all sections, so that one run shows them together.
    pub(crate) fn resolve(self, insecure: Insecure) -> Result<Config, Vec<Problem>> {
        let mut problems = Vec::new();
        let has_certificate = self.tls.is_named();
        let listen =
            self.listen.unwrap_or_else(|| Listen::defaults(PORT, SECURE_PORT, has_certificate));
        let realm = realm(&self.realm).map_err(|problem| problems.push(problem)).ok();
        if listen.is_empty() {
            problems.push(
                Problem::new("listen", "the list is empty")
                    .hint("name an address, or leave the key out"),
            );
        }
        problems.extend(Listen::problems(&listen, has_certificate));
        let relay = noted(self.relay.resolve(&listen), &mut problems);
        let auth = noted(self.auth.resolve(), &mut problems);
        let peers = noted(self.peers.resolve(insecure), &mut problems);
        let limits = noted(self.limits.resolve(), &mut problems);
        let protocol = noted(self.protocol.resolve(), &mut problems);
        let tls = noted(self.tls.resolve(), &mut problems);
        let admin = noted(self.admin.resolve(ADMIN), &mut problems);
        let net = noted(self.net.resolve(), &mut problems);
        let accounting = noted(self.accounting.resolve(), &mut problems);
        let entries = accounting.map_or(0, |accounting| accounting.stream_entries);
        let store = noted(self.store.resolve(entries), &mut problems).zip(accounting);
        if let (Some((None, _)), Some(true)) =
            (&store, auth.as_ref().map(|auth| auth.from_store.is_some()))
        {
            problems.push(
                Problem::new("auth.from_store", "there is no store to take users from")
                    .hint("name one: store.url"),
            );
        }
        problems.extend(across(&listen, relay.as_ref(), admin.as_ref()));
        let whose = all(relay, auth, peers);
        let how = all(limits, protocol, tls);
        let around = all(admin, net, store);
        match (realm, whose, how, around) {
            (
                Some(realm),
                Some((relay, auth, peers)),
                Some((limits, protocol, tls)),
                Some((admin, net, (store, accounting))),
            ) if problems.is_empty() => {
                let log = self.log;
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
            _ => Err(problems),
        }
    }
}

/// The value, or a note of what is wrong.
fn noted<T>(outcome: Result<T, Vec<Problem>>, problems: &mut Vec<Problem>) -> Option<T> {
    outcome.map_err(|mut found| problems.append(&mut found)).ok()
}

/// All three, if none has failed.
fn all<A, B, C>(a: Option<A>, b: Option<B>, c: Option<C>) -> Option<(A, B, C)> {
    a.zip(b).zip(c).map(|((a, b), c)| (a, b, c))
}

/// RFC 8489 §14.9: "a UTF-8-encoded sequence of fewer than 128 characters", and here at least one,
/// as OpaqueString leaves it.
fn realm(text: &str) -> Result<String, Problem> {
    let problem = |what: String| Err(Problem::new("realm", what));
    match text.chars().count() {
        0 => problem("no realm".into())
            .map_err(|problem| problem.hint("name one, usually your domain: --realm example.org")),
        128.. => problem("128 characters or more; RFC 8489 allows fewer".into()),
        _ if text.contains(['"', '\\']) || text.contains(char::is_control) => {
            problem(format!("{text:?} holds a quote, a backslash or a control character"))
        }
        _ => match opaque_string(text) {
            Ok(realm) => Ok(realm.into_owned()),
            Err(error) => problem(format!("{text:?} cannot be one: {error}")),
        },
    }
}
