use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use anyhow::{Context, Result};
use causeway_auth::{Authenticator, Credential, Credentials, FurtherSource, RestSecret};
use causeway_daemon::admin::Admin;
use causeway_daemon::config::Transport;
use causeway_daemon::descriptors::{self, Plan, Wanted};
use causeway_daemon::log::LimitedAnswers;
use causeway_daemon::metrics::{Samples, Source};
use causeway_net::{Clock, EventLoop, Mailbox, UdpOptions, UdpSocket};
use causeway_relay::{Config as RelayConfig, Families, Server, challenge_is_modest};
use rand::rngs::StdRng;
use tokio::runtime::Runtime;

use crate::accounts::Accounts;
use crate::capacity::Capacity;
use crate::clients::connections::{ConnectionCaps, Connections};
use crate::clients::proxied::Proxied;
use crate::clients::quota::Tally;
use crate::clients::quota::UserQuota;
use crate::config::Config;
use crate::control::{Running, WorkerHandle};
use crate::counters::{Counters, shared_source, worker_source};
use crate::listeners::{self, Listeners};
use crate::mail::Mail;
use crate::peer_policy::{check_own_addresses, peer_policy};
use crate::ports::ephemeral;
use crate::ports::holders::Holders;
use crate::ports::pool::PortPools;
use crate::ports::reservations::Reservations;
use crate::ports::sockets::{ListenerSocket, RelaySockets};
use crate::secure::Secure;
use crate::store::keys::Keys;
use crate::store::nonces;
use crate::store::persistence::Persistence;
use crate::store::registry::Registered;
use crate::worker::{Lanes, LoggedReasons, Searches, Waiting, Worker};

/// Letters that may wait for a worker.
const MAILBOX: usize = 1024;

/// What all workers are made of.
pub(crate) struct Shared {
    clock: Clock,
    relay: RelayConfig,
    authenticator: Arc<Authenticator>,
    users: Arc<Tally>,
    pools: Arc<PortPools>,
    relayed_options: UdpOptions,
    relayed: Arc<Holders>,
    reservations: Arc<Reservations>,
    connections: ConnectionCaps,
    sessions: RandomState,
    interim: Option<Duration>,
}

/// Binds everything, so that what cannot be had ends the start, and then starts the workers.
///
/// # Errors
/// An address is in use or not this host's, or the process is out of something.
pub(crate) fn start(config: &Config, runtime: &Runtime) -> Result<Running> {
    let limit = descriptors::raise_limit();
    ephemeral::warn_of_clash(config);
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    check_own_addresses(config)?;
    for relay in &config.relay.addresses {
        let options = UdpOptions { freebind: config.net.freebind, ..UdpOptions::RELAYED };
        let probe = UdpSocket::bind((relay.bound, 0).into(), &options);
        probe
            .with_context(|| format!("relay.addresses: {} cannot be relayed from", relay.bound))?;
    }
    let workers = config.net.workers.get();
    // The node's name before its ports: whoever starts a second server under one name is told that,
    // not that a port is in use.
    let mut store = config
        .store
        .as_ref()
        .map(|store| Persistence::claim(store, &config.realm, workers, runtime))
        .transpose()?;
    let keys = Keys::new(config)?;
    // Before the ports of clients: who sees those open may ask for health and metrics.
    let admin = Admin::bind(&config.admin, config.net.freebind)?;
    let listeners = listeners::bind(&config.listen, &config.net)?;
    let secure = Secure::start(config)?;
    let shared = Shared::new(config);
    let mut sources: Vec<Source> = vec![Box::new(shared_source(
        Arc::clone(&shared.pools),
        Arc::clone(&shared.reservations),
        Arc::clone(&shared.users),
        shared.connections.clone(),
    ))];
    let handshaker = secure.as_ref().map(Secure::handshaker);
    let make = |backend| EventLoop::with_backend(shared.clock, backend, handshaker);
    let (backend, loops) =
        config.net.make_loops(true, make).context("cannot make the workers' event loops")?;
    sources.push(Box::new(move |samples: &mut Samples| samples.add_workers(backend, workers)));
    let plan = Plan::new(limit, &wanted(config))?;
    let capacity = Capacity::new(Arc::clone(&shared.pools), Arc::clone(&plan.budget));
    sources.push(Box::new(plan.source()));
    let mut prepared = Vec::new();
    for ((index, listeners), event_loop) in (0u16..).zip(listeners).zip(loops) {
        let (mut worker, mut event_loop) =
            shared.prepare(index, listeners, event_loop, &capacity)?;
        worker.keys = keys.as_ref().map(Keys::questions);
        if let Some(store) = &mut store {
            worker.journal = Some(store.journal(index));
            if config.accounting.stream_entries > 0 {
                worker.accounts.send_to(store.accounts());
            }
            let (now, io) = (shared.clock.sample(), event_loop.io());
            store.restore(index, workers, |left| worker.restore(now, left, io));
        }
        prepared.push((worker, event_loop));
    }
    let mailboxes: std::io::Result<Vec<_>> =
        prepared.iter().map(|_| Mailbox::<Mail>::new(MAILBOX)).collect();
    let mailboxes = mailboxes.context("cannot make the workers' mailboxes")?;
    let lanes =
        Lanes::between(&mailboxes.iter().map(|mailbox| mailbox.sender.clone()).collect::<Vec<_>>());
    let mut workers = Vec::new();
    for (((mut worker, mut event_loop), mailbox), lanes) in
        prepared.into_iter().zip(mailboxes).zip(lanes)
    {
        worker.lanes = lanes;
        let stats = Arc::clone(event_loop.io().stats());
        sources.push(Box::new(worker_source(Arc::clone(&worker.counters), stats)));
        workers.push(spawn(worker, event_loop, mailbox)?);
    }
    if let Some(keys) = keys {
        let mail = workers.iter().map(|worker| worker.mail.clone()).collect();
        sources.push(Box::new(keys.start(
            runtime.handle(),
            Arc::clone(&shared.authenticator),
            mail,
        )));
    }
    if let Some(store) = &store {
        store.report();
    }
    if let Some(store) = &config.store {
        let mails = workers.iter().map(|worker| worker.mail.clone()).collect();
        runtime.spawn(nonces::rotate(
            store.fleet_key.clone(),
            config.protocol.nonce_lifetime,
            mails,
        ));
    }
    for listen in &config.listen {
        let transports: Vec<String> = listen.transports.iter().map(ToString::to_string).collect();
        tracing::info!(address = %listen.address, transports = transports.join(","), "listening");
    }
    let registered = Registered::new(config);
    Ok(Running {
        workers,
        admin,
        plan,
        capacity,
        sources,
        clock: shared.clock,
        store,
        secure,
        registered,
    })
}

impl Shared {
    pub(crate) fn new(config: &Config) -> Self {
        let limits = &config.limits;
        Self {
            clock: Clock::start(),
            relay: relay_config(config),
            authenticator: Arc::new(authenticator(config)),
            users: Tally::new(limits.clients.allocations_per_user),
            pools: Arc::new(PortPools::new(&config.relay.addresses, &config.relay.ports)),
            relayed_options: UdpOptions {
                dont_fragment: config.net.dont_fragment,
                freebind: config.net.freebind,
                ..UdpOptions::RELAYED
            },
            relayed: Arc::new(Holders::new(&config.relay.addresses, &config.relay.ports)),
            reservations: Arc::new(reservations(config)),
            connections: ConnectionCaps::new(limits),
            sessions: RandomState::new(),
            interim: config.accounting.interim,
        }
    }

    pub(crate) fn prepare(
        &self,
        index: u16,
        listeners: Listeners,
        mut event_loop: EventLoop,
        capacity: &Arc<Capacity>,
    ) -> Result<(Worker, EventLoop)> {
        let io = event_loop.io();
        io.limit_descriptors(capacity.descriptors());
        let mut sockets = Vec::new();
        for (socket, listening) in listeners.udp {
            let local = socket.local_addr();
            sockets.push(ListenerSocket { local, key: io.listen_udp(socket, listening)? });
        }
        for (listener, listening) in listeners.tcp {
            io.listen_tcp(listener, listening)?;
        }
        let config = RelayConfig { worker: index, ..self.relay.clone() };
        let quota = UserQuota::new(Arc::clone(&self.users));
        let worker = Worker {
            index,
            server: Server::new(
                config,
                Arc::clone(&self.authenticator),
                quota.clone(),
                rand::make_rng::<StdRng>(),
            ),
            quota,
            listeners: sockets,
            relays: RelaySockets::default(),
            connections: Connections::new(self.connections.clone()),
            proxied: Proxied::default(),
            pools: Arc::clone(&self.pools),
            relayed_options: self.relayed_options,
            relayed: Arc::clone(&self.relayed),
            lanes: None,
            reservations: Arc::clone(&self.reservations),
            capacity: Arc::clone(capacity),
            waiting: Waiting::default(),
            searches: Searches::default(),
            rng: rand::make_rng(),
            counters: Arc::new(Counters::default()),
            sessions: self.sessions.clone(),
            accounts: Accounts::new(self.interim),
            journal: None,
            keys: None,
            limited_answers: LimitedAnswers::default(),
            logged_reasons: LoggedReasons::default(),
        };
        Ok((worker, event_loop))
    }
}

fn spawn(
    mut worker: Worker,
    mut event_loop: EventLoop,
    Mailbox { sender, receiver }: Mailbox<Mail>,
) -> Result<WorkerHandle> {
    let (heartbeat, counters) = (event_loop.heartbeat().clone(), Arc::clone(&worker.counters));
    let name = format!("worker-{}", worker.index);
    // The loop outlives its thread: closing its sockets would renumber the groups that they are in,
    // and the datagrams of its clients would reach workers that still run and know nothing of
    // them.
    let run = move || (event_loop.run(&mut worker, &receiver), event_loop);
    let thread =
        std::thread::Builder::new().name(name).spawn(run).context("cannot start a worker")?;
    Ok(WorkerHandle { thread, mail: sender, heartbeat, counters })
}

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
        unauthenticated: config
            .limits
            .connections
            .unauthenticated_per_prefix
            .map(|settings| settings.of_one_worker(config.net.workers)),
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

/// The sockets that clients may cause, by the configuration.
fn wanted(config: &Config) -> Wanted {
    let streams =
        config.listen.iter().any(|listen| listen.has(Transport::Tcp) || listen.has(Transport::Tls));
    Wanted {
        workers: config.net.workers.get(),
        relayed: Some(config.relay.addresses.len() * config.relay.ports.len()),
        connections: if streams { config.limits.connections.tcp_connections } else { 0 },
    }
}

/// A user may reserve as many ports as have allocations, and all together an eighth of what there
/// is (H32).
fn reservations(config: &Config) -> Reservations {
    let ports = config.relay.addresses.len() * config.relay.ports.len();
    Reservations::new((ports / 8).max(1), config.limits.clients.allocations_per_user)
}

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
    // With a fleet's key the nonces of the process before this one, and of the fleet, are good
    // here.
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
