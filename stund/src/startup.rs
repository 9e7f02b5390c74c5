//! The start: everything bound, so that a port in use ends it, then the workers; and the end.

use std::io;
use std::sync::Arc;

use causeway_auth::{Limiter, LimiterSettings};
use causeway_daemon::admin::Admin;
use causeway_daemon::descriptors::{self, Plan};
use causeway_daemon::metrics::{Registry, Source};
use causeway_daemon::service::{self, Loops, Ready, Running, Secure, Threads, listeners};
use rand::Rng as _;
use rand::rngs::StdRng;

use crate::config::Config;
use crate::connections::Connections;
use crate::counters::{self, Counters};
use crate::endpoint;
use crate::worker::{ControlMessage, Worker};

// Deviation: RFC 8489 §6.2.3: of the two suites for old clients,
// TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 is offered and TLS_DHE_RSA_WITH_AES_128_GCM_SHA256 is not:
// rustls has no finite-field Diffie-Hellman, and DTLS offers what TLS does.

// Deviation: RFC 3489 §8.2: TLS_RSA_WITH_AES_128_CBC_SHA, which has no forward secrecy, is not
// offered.

/// The application protocol: "Label to identify the specific use of STUN over (D)TLS for NAT
/// discovery" (RFC 7443 §1).
const ALPN: &[&[u8]] = &[b"stun.nat-discovery"];

/// Maximum number of messages in a worker's mailbox.
const MAILBOX: usize = 16;

/// Runs the server until a signal ends it.
///
/// # Errors
/// An address is in use, the process is out of descriptors, memory or threads, or a worker failed.
pub(crate) fn run(config: &Config) -> io::Result<()> {
    service::runtime()?.block_on(async {
        let begun = service::begin(&config.addresses(), &config.net).await?;
        let Some(termination) = begun else { return Ok(()) };
        let (mut running, sources) = start(config)?;
        let metrics = Registry::new("stund", env!("CARGO_PKG_VERSION"), sources);
        let health = Arc::new(running.threads.heartbeats());
        let outcome = running.serve(termination, health, metrics).await;
        outcome.and(running.threads.stop(|| ControlMessage::Stop))
    })
}

/// Binds everything and starts the workers; returns them with their metrics.
fn start(config: &Config) -> io::Result<(Running<ControlMessage>, Vec<Source>)> {
    let (net, limits) = (&config.net, &config.limits.connections);
    let limit = descriptors::raise_limit();
    let admin = Admin::bind(&config.admin, net.freebind)?;
    let (endpoints, wanted) = endpoint::all(config);
    let listeners = listeners::bind(&wanted, net, false)?;
    endpoints.iter().for_each(endpoint::Endpoint::log);
    let secure = Secure::start(config.tls.as_ref(), &config.listen, limits, ALPN)?;
    let loops = Loops::new(net, false, secure.as_ref().map(Secure::handshaker))?;
    let plan = Plan::new(limit, &limits.descriptors(net, &config.listen, None))?;
    let mut sources = vec![loops.source(), Box::new(plan.source())];
    let mailboxes = service::mailboxes(net.workers.get(), MAILBOX)?;
    let (caps, mut workers) = (limits.caps(), Vec::new());
    for ((listeners, mut event_loop), mailbox) in
        listeners.into_iter().zip(loops.loops).zip(mailboxes)
    {
        event_loop.io().limit_descriptors(Arc::clone(&plan.budget));
        let counters = Arc::new(Counters::default());
        let stats = Arc::clone(event_loop.io().stats());
        sources.push(counters::source(Arc::clone(&counters), stats));
        let service = Worker::new(
            endpoints.clone(),
            listeners.register(event_loop.io())?,
            config.outside.clone(),
            Connections::new(caps.clone(), config.limits.tcp_idle_timeout),
            limits.unauthenticated_per_worker(net).map(limiter),
            counters,
        );
        workers.push(Ready { service, event_loop, mailbox });
    }
    sources.extend(secure.into_iter().flat_map(|secure| secure.follow(|_| {})));
    let threads = Threads::spawn(workers, loops.clock)?;
    Ok((Running { admin, plan, threads }, sources))
}

/// A worker's limiter. Its seed is random, so that no client can find out which prefixes share an
/// entry.
fn limiter(settings: LimiterSettings) -> Limiter {
    let mut rng = rand::make_rng::<StdRng>();
    Limiter::new(settings, std::array::from_fn(|_| rng.next_u64()))
}
