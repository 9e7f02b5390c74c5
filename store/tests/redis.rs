//! The store against a real redis-server.

#[path = "redis/directory.rs"]
mod directory;
#[path = "redis/lock.rs"]
mod lock;
#[path = "redis/outage.rs"]
mod outage;
#[path = "redis/server.rs"]
mod server;
#[path = "redis/users.rs"]
mod users;
#[path = "redis/world.rs"]
mod world;
