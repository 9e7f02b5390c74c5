//! What every service shares: configuration, logging, admin, metrics.
