//! Sockets, batches and the event loop.
