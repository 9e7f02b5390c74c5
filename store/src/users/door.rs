use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use tokio::sync::Mutex;

use crate::error::{ErrorKind, StoreError};
use crate::redis::link::{Link, call};

/// After a failure nobody tries again for so long: a look-up during an outage costs nothing.
const PAUSE: Duration = Duration::from_millis(500);

/// One connection for many look-ups at once.
pub(super) struct Door {
    timeout: Duration,
    state: Mutex<DoorState>,
}

struct DoorState {
    link: Link,
    /// Counts connections, so that a late failure of one does not close the next.
    number: u64,
    closed_until: Option<Instant>,
}

impl Door {
    pub(super) fn new(link: Link) -> Self {
        Self {
            timeout: link.timeout(),
            state: Mutex::new(DoorState { link, number: 0, closed_until: None }),
        }
    }

    /// Asks, over a connection that is made if need be, and gets an answer in time.
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
        // Who waits here waits for one attempt at the most: it succeeds, or closes the door.
        let mut state = self.state.lock().await;
        if !state.link.is_up() {
            if state.closed_until.is_some_and(|until| Instant::now() < until) {
                return Err(StoreError::new(
                    ErrorKind::Unreachable,
                    "the store did not answer a moment ago",
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

impl DoorState {
    fn fail(&mut self) {
        self.link.disconnect();
        self.closed_until = Some(Instant::now() + PAUSE);
    }
}

/// A key of another type than ours: the fault of that key, not of the store.
pub(super) fn is_wrong_type(error: &StoreError) -> bool {
    error.text.starts_with("WRONGTYPE")
}
