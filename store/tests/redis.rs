//! The store against a real redis-server.

#[path = "redis/directory.rs"]
mod directory;
#[path = "redis/full.rs"]
mod full;
#[path = "redis/late.rs"]
mod late;
#[path = "redis/lock.rs"]
mod lock;
#[path = "redis/loss.rs"]
mod loss;
#[path = "redis/name.rs"]
mod name;
#[path = "redis/outage.rs"]
mod outage;
#[path = "redis/server.rs"]
mod server;
#[path = "redis/users.rs"]
mod users;
#[path = "redis/world.rs"]
mod world;
