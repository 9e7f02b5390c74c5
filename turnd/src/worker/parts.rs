//! How a worker is made: from what all workers share and what is its own.

use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use causeway_auth::Authenticator;
use causeway_daemon::log::LimitedAnswers;
use causeway_daemon::service::ConnectionCaps;
use causeway_daemon::service::listeners::UdpListener;
use causeway_net::UdpOptions;
use causeway_relay::{Config, Server};
use rand::rngs::StdRng;

use super::Worker;
use super::lanes::Lanes;
use super::logging::LoggedReasons;
use super::restore::Waiting;
use super::search::Searches;
use crate::accounts::Accounts;
use crate::capacity::Capacity;
use crate::clients::connections::Connections;
use crate::clients::proxied::Proxied;
use crate::clients::quota::{Tally, UserQuota};
use crate::counters::Counters;
use crate::ports::holders::Holders;
use crate::ports::pool::PortPools;
use crate::ports::reservations::Reservations;
use crate::ports::sockets::RelaySockets;
use crate::store::journal::Journal;
use crate::store::keys::KeyQuestions;

/// The parts that all workers share.
pub(crate) struct Shared {
    /// The configuration of each worker's server, but for the worker's index.
    pub(crate) relay: Config,
    pub(crate) authenticator: Arc<Authenticator>,
    /// The number of allocations of each user.
    pub(crate) users: Arc<Tally>,
    pub(crate) pools: Arc<PortPools>,
    /// The options of relayed sockets.
    pub(crate) relayed_options: UdpOptions,
    /// The holders of relayed addresses.
    pub(crate) relayed: Arc<Holders>,
    pub(crate) reservations: Arc<Reservations>,
    pub(crate) caps: ConnectionCaps,
    /// How long a connection stays open without an allocation.
    pub(crate) connection_timeout: Duration,
    /// The resources of new allocations.
    pub(crate) capacity: Arc<Capacity>,
    /// Hashes 5-tuples to session ids of the log.
    pub(crate) sessions: RandomState,
}

/// The parts that a worker does not share.
pub(crate) struct Parts {
    pub(crate) index: u16,
    pub(crate) listeners: Vec<UdpListener>,
    /// The way to the other workers, if there are any.
    pub(crate) lanes: Option<Lanes>,
    /// The way to the store, if there is one.
    pub(crate) journal: Option<Journal>,
    /// The way to the users in the store, if there are any.
    pub(crate) keys: Option<KeyQuestions>,
    pub(crate) accounts: Accounts,
}

impl Worker {
    /// A worker of a server.
    pub(crate) fn new(shared: &Shared, parts: Parts) -> Self {
        let Parts { index, listeners, lanes, journal, keys, accounts } = parts;
        let config = Config { worker: index, ..shared.relay.clone() };
        let quota = UserQuota::new(Arc::clone(&shared.users));
        let authenticator = Arc::clone(&shared.authenticator);
        let rng = rand::make_rng::<StdRng>();
        Self {
            index,
            server: Server::new(config, authenticator, quota.clone(), rng),
            quota,
            listeners,
            relays: RelaySockets::default(),
            connections: Connections::new(shared.caps.clone(), shared.connection_timeout),
            proxied: Proxied::default(),
            pools: Arc::clone(&shared.pools),
            relayed_options: shared.relayed_options,
            relayed: Arc::clone(&shared.relayed),
            lanes,
            reservations: Arc::clone(&shared.reservations),
            capacity: Arc::clone(&shared.capacity),
            waiting: Waiting::default(),
            searches: Searches::default(),
            rng: rand::make_rng(),
            counters: Arc::new(Counters::default()),
            sessions: shared.sessions.clone(),
            accounts,
            journal,
            keys,
            limited_answers: LimitedAnswers::default(),
            logged_reasons: LoggedReasons::default(),
        }
    }
}
