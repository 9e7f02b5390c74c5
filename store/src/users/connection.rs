//! One Redis connection for many look-ups at once, with a pause after a failure.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use tokio::sync::Mutex;

use crate::error::{ErrorKind, StoreError};
use crate::redis::link::{Link, call};

/// How long look-ups fail at once after a failure, so that they cost nothing during an outage.
const PAUSE: Duration = Duration::from_millis(500);

/// A connection that all look-ups share.
pub(super) struct SharedConnection {
    timeout: Duration,
    state: Mutex<State>,
}

struct State {
    link: Link,
    /// Number of the current connection, so that a late failure of one does not close the next.
    number: u64,
    paused_until: Option<Instant>,
}

impl SharedConnection {
    pub(super) fn new(link: Link) -> Self {
        Self {
            timeout: link.timeout(),
            state: Mutex::new(State { link, number: 0, paused_until: None }),
        }
    }

    /// Connects if necessary, asks, and returns the answer or a timeout.
    pub(super) async fn ask<T, F: Future<Output = redis::RedisResult<T>>>(
        &self,
        asking: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Result<T, StoreError> {
        let (number, connection) = self.connection().await?;
        let answer = call(self.timeout, asking(connection)).await;
        if let Err(error) = &answer
            && !error.kind.keeps_connection()
            && !is_wrong_type(error)
        {
            let mut state = self.state.lock().await;
            if state.number == number {
                state.fail();
            }
        }
        answer
    }

    async fn connection(&self) -> Result<(u64, MultiplexedConnection), StoreError> {
        // A caller waits here for one attempt at most: it succeeds, or starts the pause.
        let mut state = self.state.lock().await;
        if !state.link.is_up() {
            if state.paused_until.is_some_and(|until| Instant::now() < until) {
                return Err(StoreError::new(
                    ErrorKind::Unreachable,
                    "the last attempt failed; not trying again yet",
                ));
            }
            state.number += 1;
            if let Err(error) = state.link.connect().await {
                state.fail();
                return Err(error);
            }
        }
        Ok((state.number, state.link.connection()?))
    }
}

impl State {
    fn fail(&mut self) {
        self.link.disconnect();
        self.paused_until = Some(Instant::now() + PAUSE);
    }
}

/// Whether a key has another type than ours: the fault of that key, not of the store.
pub(super) fn is_wrong_type(error: &StoreError) -> bool {
    error.text.starts_with("WRONGTYPE")
}
