//! WebRTC clients that others wrote, at the sites of the lab: the programs of `tests/interop`,
//! which speak lines of JSON (see `peer.rs` there).

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::services::{PASSWORD, Services, USER};
use crate::{LabError, Process, Scratch, Site, binary};

/// For one line: a client may have to start a browser first, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Messages that the caller sends and the callee sends back.
pub const MESSAGES: u64 = 100;

/// The implementation of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// aiortc, in Python.
    Aiortc,
    /// Chromium without a display.
    Chromium,
}

/// A client's part in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It offers, and opens the data channel.
    Caller,
    /// It answers the offer.
    Callee,
}

/// One endpoint, held to relayed candidates.
#[derive(Debug)]
pub struct Endpoint {
    process: Process,
    client: Client,
    _scratch: Scratch,
}

/// An endpoint's report of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The types of its own and the other's end of the pair in use, as its own statistics have
    /// them.
    pub ends: [String; 2],
    /// Messages that came to it.
    pub messages: u64,
    /// Whether they were those that were sent, in order.
    pub intact: bool,
}

impl Endpoint {
    /// Starts a client at a site, whose only way out is this TURN URI.
    ///
    /// # Errors
    /// [`LabError`] when the client is not installed (`cargo xtask test natlab` sees to it).
    pub fn start(
        client: Client,
        site: &Site,
        services: &Services,
        role: Role,
        uri: &str,
    ) -> Result<Self, LabError> {
        let scratch = Scratch::new();
        let target = binary("lab-probe")?.ancestors().nth(2).map(PathBuf::from).unwrap_or_default();
        let programs = concat!(env!("CARGO_MANIFEST_DIR"), "/../interop");
        let (program, script) = match client {
            Client::Aiortc => (target.join("interop-venv/bin/python"), "aiortc/peer.py"),
            Client::Chromium => (PathBuf::from("node"), "node/chromium.mjs"),
        };
        let mut command = site.client.namespace.command(program);
        command
            .arg(format!("{programs}/{script}"))
            .env("NODE_PACKAGES", target.join("interop-node"));
        command.env("SSL_CERT_FILE", services.root()).env("INTEROP_FOLDER", scratch.path("own"));
        let mut process = Process::start(format!("{client:?}"), command)?;
        let role = if role == Role::Caller { "caller" } else { "callee" };
        let settings = json!({
            "role": role, "url": uri, "user": USER, "password": PASSWORD,
            "messages": MESSAGES, "audio": false
        });
        process.write_line(&settings.to_string())?;
        Ok(Self { process, client, _scratch: scratch })
    }

    /// Waits for its description of itself.
    ///
    /// # Errors
    /// [`LabError`] with what it wrote instead.
    pub fn description(&mut self) -> Result<Value, LabError> {
        self.hear("description")
    }

    /// Tells it the other's description.
    ///
    /// # Errors
    /// [`LabError::Program`] when it has ended.
    pub fn describe(&mut self, other: &Value) -> Result<(), LabError> {
        Ok(self.process.write_line(&json!({ "description": other }).to_string())?)
    }

    /// Waits until all messages have come.
    ///
    /// # Errors
    /// [`LabError`] with what it wrote instead.
    pub fn seen(&mut self) -> Result<Seen, LabError> {
        let seen = self.hear("seen")?;
        let read = || {
            let end = |side: &str| seen[side]["type"].as_str().map(str::to_owned);
            let ends = [end("local")?, end("remote")?];
            Some(Seen {
                ends,
                messages: seen["messages"].as_u64()?,
                intact: seen["intact"].as_bool()?,
            })
        };
        read().ok_or_else(|| LabError::Unexpected(format!("{:?} saw {seen}", self.client)))
    }

    fn hear(&mut self, part: &str) -> Result<Value, LabError> {
        let line = self.process.wait_line(&format!("{{\"{part}\":"), PATIENCE)?;
        let mut heard: Value = serde_json::from_str(&line)
            .map_err(|error| LabError::Unexpected(format!("{:?}: {error}: {line}", self.client)))?;
        Ok(heard[part].take())
    }
}
