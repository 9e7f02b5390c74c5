//! The task that reads certificates again when their files change.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use causeway_certificates::{unix_now, utc};
use causeway_net::secure::Identity;
use tokio::signal::unix::{SignalKind, signal};

use super::{Certificate, Tls};
use crate::metrics::{Family, Samples, Unit};

/// How long to wait between two checks of the files. They are polled, since a tool that writes them
/// may swap the link of a directory, which a watch on the file would miss.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

const NOT_AFTER: Family =
    Family::gauge("certificate_not_after", "When the first certificate expires, in Unix time")
        .unit(Unit::Seconds);
const RELOADS: Family = Family::counter(
    "certificate_reloads",
    "Attempts to replace a certificate at run time, by result",
);

/// The values of the metrics.
#[derive(Debug, Default)]
struct Watched {
    not_after: AtomicU64,
    taken: AtomicU64,
    refused: AtomicU64,
}

/// Starts the task that reads the files of `tls` again every few seconds, and at once on SIGHUP,
/// and passes changed certificates to `apply`. It logs a chain or a key that is not valid, or that
/// does not match the other, and keeps the old pair. It warns of a certificate that clients refuse,
/// or soon will, at the start, at a reload and once a day. The returned function adds the metrics.
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
    // Installed before the task runs: an earlier SIGHUP would end the process. Without the signal
    // the files are still polled.
    let mut hangup = signal(SignalKind::hangup()).ok();
    tokio::spawn(async move {
        loop {
            match &mut hangup {
                Some(hangup) => drop(tokio::time::timeout(CHECK_INTERVAL, hangup.recv()).await),
                None => tokio::time::sleep(CHECK_INTERVAL).await,
            }
            let changed = tls.reread(&seen);
            tls.tell_of_time();
            if changed {
                seen.not_after.store(first_to_expire(&tls), Ordering::Relaxed);
                if let Err(error) = apply(tls.identities()) {
                    tracing::warn!(%error, "cannot use the new certificates");
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

/// Logs a certificate, and the parts of its files that are not used.
fn tell(certificate: &Certificate, event: &str) {
    tracing::info!(%certificate, "{event}");
    for note in certificate.notes() {
        tracing::warn!(%certificate, note, "a part of the certificate's files is not used");
    }
}

impl Tls {
    /// Replaces the certificates whose files have changed; whether there were any.
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
