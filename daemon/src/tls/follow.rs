use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use causeway_certificates::{unix_now, utc};
use causeway_net::secure::Identity;
use tokio::signal::unix::{SignalKind, signal};

use super::{Certificate, Tls};
use crate::metrics::{Family, Samples, Unit};

/// Files are looked at so often: what writes them may swap a directory's link, of which no watch on
/// the file would tell.
const LOOK: Duration = Duration::from_secs(5);

const NOT_AFTER: Family = Family::gauge(
    "certificate_not_after",
    "When the first certificate to expire does, in Unix time",
)
.unit(Unit::Seconds);
const RELOADS: Family = Family::counter(
    "certificate_reloads",
    "Certificates that were replaced while the service ran, by what became of it",
);

/// What the metrics show of the certificates.
#[derive(Debug, Default)]
struct Watched {
    not_after: AtomicU64,
    taken: AtomicU64,
    refused: AtomicU64,
}

/// Starts the task that rereads the files of `tls` every few seconds, and at once on SIGHUP, and
/// gives what has changed to `apply`. A chain or a key that is no good, or that does not fit the
/// other, is said and leaves the old pair in use. A certificate that clients refuse or soon will is
/// told of at the start, at a reload and once a day. The function that it returns is for the
/// metrics.
///
/// # Panics
/// Outside a tokio runtime.
pub fn follow(
    mut tls: Tls,
    apply: impl Fn(Vec<Arc<Identity>>) -> io::Result<()> + Send + 'static,
) -> impl Fn(&mut Samples) + Send + Sync {
    let watched = Arc::new(Watched::default());
    watched.not_after.store(first_to_expire(&tls), Ordering::Relaxed);
    let seen = Arc::clone(&watched);
    for certificate in &tls.certificates {
        tell(certificate, "certificate loaded");
    }
    tls.tell_of_time();
    // Before the task runs, or a SIGHUP at once would end the process. Without the signal the files
    // are still looked at.
    let mut hangup = signal(SignalKind::hangup()).ok();
    tokio::spawn(async move {
        loop {
            match &mut hangup {
                Some(hangup) => drop(tokio::time::timeout(LOOK, hangup.recv()).await),
                None => tokio::time::sleep(LOOK).await,
            }
            let changed = tls.reread(&seen);
            tls.tell_of_time();
            if changed {
                seen.not_after.store(first_to_expire(&tls), Ordering::Relaxed);
                if let Err(error) = apply(tls.identities()) {
                    tracing::warn!(%error, "the certificates cannot be offered");
                }
            }
        }
    });
    move |samples: &mut Samples| {
        samples.add(&NOT_AFTER, &[], watched.not_after.load(Ordering::Relaxed));
        for (result, count) in [("taken", &watched.taken), ("refused", &watched.refused)] {
            samples.add(&RELOADS, &[("result", result.into())], count.load(Ordering::Relaxed));
        }
    }
}

fn first_to_expire(tls: &Tls) -> u64 {
    let ends = tls.certificates.iter().map(|certificate| certificate.validity().not_after);
    ends.min().and_then(|end| u64::try_from(end).ok()).unwrap_or(0)
}

/// What a certificate is, and what of its files is not used.
fn tell(certificate: &Certificate, event: &str) {
    tracing::info!(%certificate, "{event}");
    for note in certificate.notes() {
        tracing::warn!(%certificate, note, "not all of a certificate's files is used");
    }
}

impl Tls {
    /// Takes what has changed; whether anything has.
    fn reread(&mut self, seen: &Watched) -> bool {
        let mut changed = false;
        for certificate in &mut self.certificates {
            match certificate.reread() {
                None => {}
                Some(Ok(())) => {
                    tell(certificate, "certificate replaced");
                    seen.taken.fetch_add(1, Ordering::Relaxed);
                    changed = true;
                }
                Some(Err(problem)) => {
                    tracing::warn!(%problem, "the old certificate stays in use");
                    seen.refused.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        changed
    }

    /// Warns of certificates that clients refuse, or soon will.
    fn tell_of_time(&mut self) {
        let now = unix_now();
        for certificate in &mut self.certificates {
            if let Some(standing) = certificate.due(now) {
                let validity = certificate.validity();
                let (from, until) = (utc(validity.not_before), utc(validity.not_after));
                tracing::warn!(%certificate, from, until, "{standing}");
            }
        }
    }
}
