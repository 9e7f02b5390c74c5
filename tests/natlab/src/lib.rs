//! Network namespaces and nftables NATs of every kind.
