//! The start: the node's name claimed, everything bound, workers prepared, stored allocations
//! restored, threads spawned. Whatever is in use or missing ends the start before a worker runs.

use std::sync::Arc;

use ahash::RandomState;
use anyhow::{Context, Result};
use causeway_auth::{Authenticator, Credential, Credentials, FurtherSource, RestSecret};
use causeway_daemon::admin::Admin;
use causeway_daemon::descriptors::{self, Plan};
use causeway_daemon::metrics::Source;
use causeway_daemon::service::listeners::{self, Listeners, Wanted};
use causeway_daemon::service::{self, Loops, Ready, Running, Secure, Threads};
use causeway_net::{Clock, Descriptors, UdpOptions, UdpSocket};
use causeway_relay::{Config as RelayConfig, Families, challenge_is_modest};
use tokio::runtime::Runtime;

use crate::accounts::Accounts;
use crate::capacity::Capacity;
use crate::clients::quota::Tally;
use crate::config::Config;
use crate::control::Started;
use crate::counters::{shared_source, worker_source};
use crate::mail::Mail;
use crate::peer_policy::{check_own_addresses, peer_policy};
use crate::ports::ephemeral;
use crate::ports::holders::Holders;
use crate::ports::pool::PortPools;
use crate::ports::reservations::Reservations;
use crate::ports::sockets::Socket;
use crate::store::keys::Keys;
use crate::store::nonces;
use crate::store::persistence::Persistence;
use crate::store::registry::Registered;
use crate::worker::{Lanes, Parts, Shared, Worker};

/// The application protocols that lead here (RFC 7443 §2): this server answers plain Binding
/// requests, too.
const ALPN: &[&[u8]] = &[b"stun.turn", b"stun.nat-discovery"];

/// Maximum number of messages in a worker's mailbox.
const MAILBOX: usize = 1024;

/// Runs the server until a signal ends it.
///
/// # Errors
/// The start failed, or a worker or the control side did while it ran.
pub(crate) fn run(config: &Config) -> Result<()> {
    let runtime = service::runtime()?;
    let begun = runtime.block_on(service::begin(&config.addresses(), &config.net))?;
    let Some(termination) = begun else { return Ok(()) };
    runtime.block_on(start(config, &runtime)?.serve(termination))
}

/// Starts the server.
///
/// # Errors
/// An address is in use or not this host's, another server has the node's name, or the process is
/// out of descriptors, memory or threads.
fn start(config: &Config, runtime: &Runtime) -> Result<Started> {
    let limit = descriptors::raise_limit();
    check(config)?;
    // The node's name before its ports: an operator who starts a second server under one name is
    // told that, and not that a port is in use.
    let mut claimed = claim(config, runtime)?;
    let bound = bind(config)?;
    let mut prepared = prepare(config, limit, &claimed, bound)?;
    if let Some(store) = &mut claimed.store {
        restore(store, &mut prepared);
    }
    let started = spawn(config, runtime, claimed, prepared)?;
    for listen in &config.listen {
        let transports: Vec<String> = listen.transports.iter().map(ToString::to_string).collect();
        tracing::info!(address = %listen.address, transports = transports.join(","), "listening");
    }
    Ok(started)
}

/// Warns of what an operator should change, and refuses relay addresses that cannot be bound.
fn check(config: &Config) -> Result<()> {
    ephemeral::warn_of_clash(config);
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    check_own_addresses(config)?;
    let options = UdpOptions { freebind: config.net.freebind, ..UdpOptions::RELAYED };
    for relay in &config.relay.addresses {
        UdpSocket::bind((relay.bound, 0).into(), &options)
            .with_context(|| format!("relay.addresses: {} cannot be relayed from", relay.bound))?;
    }
    Ok(())
}

/// The part of the store that this process has claimed, and the keys that it holds.
struct Claimed {
    store: Option<Persistence>,
    keys: Option<Keys>,
}

/// Claims the node's name in the store, and reads the allocations that are stored under it.
fn claim(config: &Config, runtime: &Runtime) -> Result<Claimed> {
    let workers = config.net.workers.get();
    let claim = |store| Persistence::claim(store, &config.realm, workers, runtime);
    let store = config.store.as_ref().map(claim).transpose()?;
    Ok(Claimed { store, keys: Keys::new(config)? })
}

/// The sockets that are open before a worker is made, and the thread of the handshakes.
struct Bound {
    admin: Option<Admin>,
    /// One for each worker.
    listeners: Vec<Listeners>,
    secure: Option<Secure>,
}

/// Binds every address.
fn bind(config: &Config) -> Result<Bound> {
    // The admin listener comes first: a supervisor that sees the ports of clients open may ask for
    // health and metrics.
    let admin = Admin::bind(&config.admin, config.net.freebind)?;
    let wanted = Wanted::all(&config.listen, Socket::Listener.tag());
    let listeners = listeners::bind(&wanted, &config.net, true)?;
    let limits = &config.limits.connections;
    let secure = Secure::start(config.tls.as_ref(), &config.listen, limits, ALPN)?;
    Ok(Bound { admin, listeners, secure })
}

/// A server whose workers are whole and do not run yet.
struct Prepared {
    admin: Option<Admin>,
    secure: Option<Secure>,
    plan: Plan,
    shared: Shared,
    clock: Clock,
    workers: Vec<Ready<Worker>>,
    sources: Vec<Source>,
}

/// Makes the workers, each with its mailbox and its ways to the other workers and to the store.
fn prepare(config: &Config, limit: u64, claimed: &Claimed, bound: Bound) -> Result<Prepared> {
    let Bound { admin, listeners, secure } = bound;
    let loops = Loops::new(&config.net, true, secure.as_ref().map(Secure::handshaker))?;
    let (net, limits, relayed) = (&config.net, &config.limits, relayed_addresses(config));
    let plan =
        Plan::new(limit, &limits.connections.descriptors(net, &config.listen, Some(relayed)))?;
    let shared = shared(config, &plan.budget);
    let mut sources = vec![loops.source(), Box::new(plan.source()), metrics_of(&shared)];
    let mailboxes = service::mailboxes(listeners.len(), MAILBOX)?;
    let senders: Vec<_> = mailboxes.iter().map(|mailbox| mailbox.sender.clone()).collect();
    let lanes = Lanes::between(&senders);
    let mut workers = Vec::new();
    let all = listeners.into_iter().zip(loops.loops).zip(mailboxes).zip(lanes);
    for (index, (((listeners, mut event_loop), mailbox), lanes)) in (0u16..).zip(all) {
        let io = event_loop.io();
        io.limit_descriptors(Arc::clone(&plan.budget));
        let stats = Arc::clone(io.stats());
        let parts = Parts {
            index,
            listeners: listeners.register(io)?,
            lanes,
            journal: claimed.store.as_ref().map(|store| store.journal(index)),
            keys: claimed.keys.as_ref().map(Keys::questions),
            accounts: accounts(config, claimed.store.as_ref()),
        };
        let service = Worker::new(&shared, parts);
        sources.push(Box::new(worker_source(Arc::clone(&service.counters), stats)));
        workers.push(Ready { service, event_loop, mailbox });
    }
    Ok(Prepared { admin, secure, plan, shared, clock: loops.clock, workers, sources })
}

/// Brings the stored allocations back, each at the worker that its client reaches.
fn restore(store: &mut Persistence, prepared: &mut Prepared) {
    let count = prepared.workers.len();
    for (index, Ready { service, event_loop, .. }) in (0u16..).zip(&mut prepared.workers) {
        let (now, io) = (prepared.clock.sample(), event_loop.io());
        store.restore(index, count, |left| service.restore(now, left, io));
    }
}

/// Starts the workers' threads, and the tasks that serve workers.
fn spawn(
    config: &Config,
    runtime: &Runtime,
    claimed: Claimed,
    prepared: Prepared,
) -> Result<Started> {
    let Claimed { store, keys } = claimed;
    let Prepared { admin, secure, plan, shared, clock, workers, mut sources } = prepared;
    let counters = workers.iter().map(|worker| Arc::clone(&worker.service.counters)).collect();
    let threads: Threads<Mail> = Threads::spawn(workers, clock)?;
    let senders = threads.senders();
    if let Some(keys) = keys {
        let answers = keys.start(runtime.handle(), shared.authenticator, senders.to_vec());
        sources.push(Box::new(answers));
    }
    if let Some(store) = &store {
        store.report();
    }
    if let Some(store) = &config.store {
        let (key, lifetime) = (store.fleet_key.clone(), config.protocol.nonce_lifetime);
        runtime.spawn(nonces::rotate(key, lifetime, senders.to_vec()));
    }
    let running = Running { admin, plan, threads };
    let (capacity, registered) = (shared.capacity, Registered::new(config));
    Ok(Started { running, counters, sources, capacity, store, secure, registered })
}

/// The parts that all workers share. `descriptors` is the budget of clients' sockets.
pub(crate) fn shared(config: &Config, descriptors: &Arc<Descriptors>) -> Shared {
    let pools = Arc::new(PortPools::new(&config.relay.addresses, &config.relay.ports));
    Shared {
        relay: relay_config(config),
        authenticator: Arc::new(authenticator(config)),
        users: Tally::new(config.limits.clients.allocations_per_user),
        capacity: Capacity::new(Arc::clone(&pools), Arc::clone(descriptors)),
        pools,
        relayed_options: UdpOptions {
            dont_fragment: config.net.dont_fragment,
            freebind: config.net.freebind,
            ..UdpOptions::RELAYED
        },
        relayed: Arc::new(Holders::new(&config.relay.addresses, &config.relay.ports)),
        reservations: Arc::new(reservations(config)),
        caps: config.limits.connections.caps(),
        connection_timeout: config.limits.clients.tcp_unauthenticated_timeout,
        sessions: RandomState::new(),
    }
}

/// The metrics of the shared parts.
fn metrics_of(shared: &Shared) -> Source {
    Box::new(shared_source(
        Arc::clone(&shared.pools),
        Arc::clone(&shared.reservations),
        Arc::clone(&shared.users),
        shared.caps.clone(),
    ))
}

/// The accounts of a worker, which go to the store if there is one with a stream for them.
fn accounts(config: &Config, store: Option<&Persistence>) -> Accounts {
    let mut accounts = Accounts::new(config.accounting.interim);
    if let Some(store) = store.filter(|_| config.accounting.stream_entries > 0) {
        accounts.send_to(store.accounts());
    }
    accounts
}

/// The configuration of the workers' servers.
fn relay_config(config: &Config) -> RelayConfig {
    let has = |ipv4: bool| config.relay.addresses.iter().any(|relay| relay.bound.is_ipv4() == ipv4);
    RelayConfig {
        worker: 0,
        families: Families { ipv4: has(true), ipv6: has(false) },
        channels: config.protocol.channel_numbers,
        channel_permission: config.protocol.channel_permission,
        limits: config.limits.relay.clone(),
        policy: peer_policy(config),
        denied: config.peers.denied,
        track_changes: config.store.is_some(),
        unauthenticated: config.limits.connections.unauthenticated_per_worker(&config.net),
        external: config
            .relay
            .addresses
            .iter()
            .filter(|one| one.bound != one.advertised)
            .map(|one| (one.bound, one.advertised))
            .collect(),
        software: config.protocol.software.as_deref().map(Into::into),
    }
}

/// The number of relayed addresses that there are.
fn relayed_addresses(config: &Config) -> usize {
    config.relay.addresses.len() * config.relay.ports.len()
}

/// Reservations of ports: a user may have as many as allocations, and all users together an eighth
/// of the ports (H32).
fn reservations(config: &Config) -> Reservations {
    let maximum = (relayed_addresses(config) / 8).max(1);
    Reservations::new(maximum, config.limits.clients.allocations_per_user)
}

/// The realm: its users, secrets and nonces.
fn authenticator(config: &Config) -> Authenticator {
    let mut credentials = Credentials::new();
    for user in &config.auth.users {
        let credential =
            Credential::with_password(&user.name, &config.realm, user.password.expose());
        credentials.add_user(credential.expect("the configuration has been checked"));
    }
    for rest in &config.auth.rest_secrets {
        credentials.add_rest_secret(
            RestSecret::new(rest.secret.expose().as_bytes())
                .from(rest.not_before)
                .until(rest.not_after),
        );
    }
    credentials.set_rest_name(config.auth.rest_name);
    if config.auth.from_store.is_some() {
        credentials.set_further_source(FurtherSource { has_sha256: config.auth.store_has_sha256 });
    }
    let lifetime = config.protocol.nonce_lifetime;
    // With a fleet's key, nonces of the fleet and of the process before this one stay valid.
    let nonces = config.store.as_ref().map_or_else(
        || nonces::of_process(lifetime),
        |store| nonces::of_fleet(&store.fleet_key, lifetime),
    );
    let realm =
        Authenticator::new(&config.realm, credentials, nonces, config.auth.expiry_grace.as_secs());
    if !challenge_is_modest(&realm) {
        tracing::warn!(
            realm = config.realm,
            "the realm is long: a 401 over UDP is more than 2.6 times as long as what asks for it"
        );
    }
    realm
}
