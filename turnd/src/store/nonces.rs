//! The keys of nonces: from the fleet's key, so that every server and every restart knows them, and
//! another one each epoch.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use causeway_auth::{NonceKey, NonceKeys};
use causeway_net::mailbox::Sender;
use causeway_relay::Command;
use causeway_store::{EPOCH, FleetKey, epoch_at};
use rand::Rng;
use rand::rngs::StdRng;

use crate::mail::Mail;
use crate::mail::tell_all;

/// The keys at this moment: this epoch's mints, the one before still verifies. `lifetime` is that
/// of a nonce.
pub(crate) fn of_fleet(fleet_key: &FleetKey, lifetime: Duration) -> NonceKeys {
    let [current, previous] =
        fleet_key.nonce_keys(unix().as_secs()).map(|key| NonceKey::new(key.as_bytes()));
    NonceKeys::new(current, Some(previous), lifetime.as_secs())
}

/// A key that nobody else has, for a server without a fleet.
pub(crate) fn of_process(lifetime: Duration) -> NonceKeys {
    let mut key = [0; 32];
    rand::make_rng::<StdRng>().fill_bytes(&mut key);
    NonceKeys::new(NonceKey::new(&key), None, lifetime.as_secs())
}

/// Gives the workers the keys of each epoch that begins. Never ends.
pub(crate) async fn rotate(fleet_key: FleetKey, lifetime: Duration, workers: Vec<Sender<Mail>>) {
    loop {
        let next = EPOCH.as_secs() * (epoch_at(unix().as_secs()) + 1);
        tokio::time::sleep(Duration::from_secs(next).saturating_sub(unix())).await;
        tell_all(&workers, &Command::SetNonceKeys(Box::new(of_fleet(&fleet_key, lifetime)))).await;
        tracing::info!("nonces have the keys of a new epoch");
    }
}

fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
