//! The keys of nonces. With a fleet they are derived from its key, so that every server and every
//! restart has the same ones, and they change with each epoch.

use std::time::Duration;

use causeway_auth::{NonceKey, NonceKeys};
use causeway_net::mailbox::Sender;
use causeway_relay::Command;
use causeway_store::{EPOCH, FleetKey, epoch_at};
use rand::Rng;
use rand::rngs::StdRng;

use crate::mail::{Mail, tell_all};
use crate::records::unix_now;

/// The current keys: this epoch's key mints nonces, and the previous one still verifies them.
/// `lifetime` is the lifetime of a nonce.
pub(crate) fn of_fleet(fleet_key: &FleetKey, lifetime: Duration) -> NonceKeys {
    let [current, previous] =
        fleet_key.nonce_keys(unix_now().as_secs()).map(|key| NonceKey::new(key.as_bytes()));
    NonceKeys::new(current, Some(previous), lifetime.as_secs())
}

/// A random key, for a server without a fleet.
pub(crate) fn of_process(lifetime: Duration) -> NonceKeys {
    let mut key = [0; 32];
    rand::make_rng::<StdRng>().fill_bytes(&mut key);
    NonceKeys::new(NonceKey::new(&key), None, lifetime.as_secs())
}

/// Sends the workers new keys when an epoch begins. Never ends.
pub(crate) async fn rotate(fleet_key: FleetKey, lifetime: Duration, workers: Vec<Sender<Mail>>) {
    loop {
        let next = EPOCH.as_secs() * (epoch_at(unix_now().as_secs()) + 1);
        tokio::time::sleep(Duration::from_secs(next).saturating_sub(unix_now())).await;
        tell_all(&workers, &Command::SetNonceKeys(Box::new(of_fleet(&fleet_key, lifetime)))).await;
        tracing::info!(epoch = epoch_at(unix_now().as_secs()), "nonce keys rotated");
    }
}
