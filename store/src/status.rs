//! The writer's state as other threads read it, for metrics and readiness.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::directory::Inspection;
use crate::error::{ErrorKind, StoreError};

/// The state of the writer and its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// No store is configured.
    Off = 0,
    /// Not connected; retrying.
    Connecting = 1,
    /// Connected; all records are being compared with those in the store.
    Comparing = 2,
    /// Connected; changes are written as they happen.
    Connected = 3,
    /// Connected, but the store rejects writes: it is full or read-only.
    Refused = 4,
    /// Another process has this node's name; no record is written until the name is free.
    Fenced = 5,
}

impl State {
    /// All states, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Off,
        Self::Connecting,
        Self::Comparing,
        Self::Connected,
        Self::Refused,
        Self::Fenced,
    ];

    /// Its name in metric labels and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Connecting => "connecting",
            Self::Comparing => "comparing",
            Self::Connected => "connected",
            Self::Refused => "refused",
            Self::Fenced => "fenced",
        }
    }
}

/// The writer's state and counters. Cheap to clone; reading never waits for the writer.
#[derive(Clone, Debug)]
pub struct Status(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    base: Instant,
    state: AtomicU8,
    /// Milliseconds since `base`, plus one; 0 when everything is written.
    unwritten_since: AtomicU64,
    depth: AtomicU64,
    written: AtomicU64,
    deleted_stale: AtomicU64,
    comparisons: AtomicU64,
    errors: [AtomicU64; ErrorKind::ALL.len()],
    last_error: Mutex<Option<StoreError>>,
    missing: AtomicU64,
    inspection: Mutex<Inspection>,
}

/// A snapshot of a [`Status`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusReport {
    /// State of the writer.
    pub state: State,
    /// Age of the oldest change not known to be written: a crash now would lose it.
    pub lag: Duration,
    /// Number of changes not known to be written.
    pub depth: u64,
    /// Changes written since the start.
    pub written: u64,
    /// Stale records that were found in the store and deleted.
    pub deleted_stale: u64,
    /// Completed comparisons of the whole directory.
    pub comparisons: u64,
    /// Errors since the start, by kind.
    pub errors: [u64; ErrorKind::ALL.len()],
    /// The most recent error, if any.
    pub last_error: Option<StoreError>,
    /// Records that inspections have found missing since the start.
    pub missing: u64,
    /// Result of the most recent inspection.
    pub inspection: Inspection,
}

impl Status {
    pub(crate) fn new(state: State) -> Self {
        Self(Arc::new(Shared {
            base: Instant::now(),
            state: AtomicU8::new(state as u8),
            unwritten_since: AtomicU64::new(0),
            depth: AtomicU64::new(0),
            written: AtomicU64::new(0),
            deleted_stale: AtomicU64::new(0),
            comparisons: AtomicU64::new(0),
            errors: Default::default(),
            last_error: Mutex::new(None),
            missing: AtomicU64::new(0),
            inspection: Mutex::new(Inspection::default()),
        }))
    }

    /// The status of a server without a store.
    #[must_use]
    pub fn off() -> Self {
        Self::new(State::Off)
    }

    /// State of the writer.
    #[must_use]
    pub fn state(&self) -> State {
        State::ALL[usize::from(self.0.state.load(Relaxed))]
    }

    /// Takes a snapshot of all values.
    #[must_use]
    pub fn read(&self) -> StatusReport {
        let lag = match self.0.unwritten_since.load(Relaxed) {
            0 => Duration::ZERO,
            since => self.0.base.elapsed().saturating_sub(Duration::from_millis(since - 1)),
        };
        StatusReport {
            state: self.state(),
            lag,
            depth: self.0.depth.load(Relaxed),
            written: self.0.written.load(Relaxed),
            deleted_stale: self.0.deleted_stale.load(Relaxed),
            comparisons: self.0.comparisons.load(Relaxed),
            errors: ErrorKind::ALL.map(|kind| self.0.errors[kind.index()].load(Relaxed)),
            last_error: self.0.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            missing: self.0.missing.load(Relaxed),
            inspection: *self.0.inspection.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    pub(crate) fn set_state(&self, state: State) {
        if self.state() != state {
            tracing::info!(state = state.name(), "store state changed");
        }
        self.0.state.store(state as u8, Relaxed);
    }

    pub(crate) fn set_backlog(&self, depth: u64, oldest: Option<Instant>) {
        let since = oldest.map_or(0, |oldest| {
            1 + oldest.saturating_duration_since(self.0.base).as_millis() as u64
        });
        self.0.depth.store(depth, Relaxed);
        self.0.unwritten_since.store(since, Relaxed);
    }

    pub(crate) fn add_written(&self, changes: usize) {
        self.0.written.fetch_add(changes as u64, Relaxed);
    }

    pub(crate) fn compared(&self, stale: usize) {
        self.0.comparisons.fetch_add(1, Relaxed);
        self.0.deleted_stale.fetch_add(stale as u64, Relaxed);
    }

    pub(crate) fn inspected(&self, inspection: Inspection) {
        self.0.missing.fetch_add(inspection.missing as u64, Relaxed);
        *self.0.inspection.lock().unwrap_or_else(PoisonError::into_inner) = inspection;
    }

    /// Records that accounting entries were rejected, which stops nothing else.
    pub(crate) fn accounts_refused(&self, error: &StoreError) {
        self.0.errors[error.kind.index()].fetch_add(1, Relaxed);
        *self.0.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
    }

    pub(crate) fn failed(&self, error: &StoreError) {
        self.0.errors[error.kind.index()].fetch_add(1, Relaxed);
        let mut last = self.0.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        // One line per outage, not one per retry.
        if last.as_ref().is_none_or(|last| last.kind != error.kind)
            || self.state() == State::Connected
        {
            let remedy = error.kind.remedy();
            tracing::warn!(kind = error.kind.name(), error = %error.text, remedy, "store failed");
        }
        *last = Some(error.clone());
    }
}
