//! A WebRTC client that others wrote, as a process: one endpoint, held to relayed candidates.
//!
//! Each of the programs in `aiortc/`, `pion/` and `node/` speaks the same lines of JSON, so that
//! any two of them can call each other. Its first line of input is the settings:
//!
//! ```json
//! {"role": "caller", "url": "turn:127.0.0.1:3478?transport=udp", "user": "…", "password": "…",
//!  "messages": 100, "audio": false}
//! ```
//!
//! Descriptions go both ways as `{"description": {"type": "offer", "sdp": "…"}}`, with all
//! candidates in them. The caller opens a data channel and sends its messages, the callee sends
//! each of them back, and both write what they saw:
//!
//! ```json
//! {"seen": {"local": {"type": "relay", "address": "…"}, "remote": {…},
//!  "messages": 100, "intact": true, "sound": 0}}
//! ```
//!
//! `local` and `remote` are the pair of candidates in use as the client's own statistics have it,
//! `sound` counts packets of audio that came. The end of its input ends the program.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use causeway_kit::program::target;
use causeway_kit::{Process, Scratch};
use serde_json::Value;

/// For one line: a client may have to start a browser first.
const PATIENCE: Duration = Duration::from_secs(40);

/// The implementation of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Aiortc,
    Pion,
    Libwebrtc,
    Libdatachannel,
    Chromium,
}

impl Client {
    fn command(self) -> Command {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/interop");
        let (program, script) = match self {
            Self::Aiortc => (target().join("interop-venv/bin/python"), Some("aiortc/peer.py")),
            Self::Pion => (target().join("interop-pion"), None),
            Self::Libwebrtc => ("node".into(), Some("node/wrtc.mjs")),
            Self::Libdatachannel => ("node".into(), Some("node/libdatachannel.mjs")),
            Self::Chromium => ("node".into(), Some("node/chromium.mjs")),
        };
        let mut command = Command::new(program);
        command.args(script.map(|script| format!("{folder}/{script}")));
        command.env("NODE_PACKAGES", target().join("interop-node"));
        command
    }
}

/// One endpoint. Ended when dropped.
pub(crate) struct Peer {
    client: Client,
    process: Process,
    /// The position behind the last line that was read.
    read: usize,
    /// Number of lines that were read.
    heard: usize,
    /// Keeps the process's scratch folder until it ends.
    _scratch: Scratch,
}

/// An endpoint's report of the call.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) local: Candidate,
    pub(crate) remote: Candidate,
    pub(crate) messages: u64,
    pub(crate) intact: bool,
    pub(crate) sound: u64,
}

/// One end of the pair in use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) kind: String,
    pub(crate) address: SocketAddr,
}

impl Seen {
    fn read(seen: &Value) -> Option<Self> {
        Some(Self {
            local: Candidate::read(&seen["local"])?,
            remote: Candidate::read(&seen["remote"])?,
            messages: seen["messages"].as_u64()?,
            intact: seen["intact"].as_bool()?,
            sound: seen["sound"].as_u64()?,
        })
    }
}

impl Candidate {
    fn read(candidate: &Value) -> Option<Self> {
        Some(Self {
            kind: candidate["type"].as_str()?.to_owned(),
            address: candidate["address"].as_str()?.parse().ok()?,
        })
    }
}

impl Peer {
    /// Starts the client, which trusts the certificate in this file, and tells it the settings.
    pub(crate) fn start(client: Client, root: Option<PathBuf>, settings: &Value) -> Self {
        let scratch = Scratch::new();
        let mut command = client.command();
        if let Some(root) = root {
            // OpenSSL and Go read this name; for Chromium the program takes it.
            command.env("SSL_CERT_FILE", root);
        }
        command.env("INTEROP_FOLDER", scratch.path("own"));
        let process = Process::start(format!("{client:?}"), command).unwrap_or_else(|error| {
            panic!("{error}; `cargo xtask test tools interop` installs what is missing")
        });
        let mut peer = Self { client, process, read: 0, heard: 0, _scratch: scratch };
        peer.tell(settings);
        peer
    }

    /// Writes a line to it.
    pub(crate) fn tell(&mut self, line: &Value) {
        if let Err(error) = self.process.write_line(&line.to_string()) {
            panic!("{error}\n{}", self.process.log_tail());
        }
    }

    /// The part with this name of the line that comes next.
    pub(crate) fn hear(&mut self, part: &str) -> Value {
        let next = self.process.next_output(self.read, PATIENCE);
        let (read, line) = next.unwrap_or_else(|| {
            panic!("{:?} does not say its {part}\n{}", self.client, self.process.log_tail())
        });
        (self.read, self.heard) = (read, self.heard + 1);
        let mut heard: Value = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{:?}: {error}: {line}", self.client));
        heard
            .get_mut(part)
            .unwrap_or_else(|| panic!("{:?} does not say its {part} but {line}", self.client))
            .take()
    }

    /// Waits for what it saw.
    pub(crate) fn seen(&mut self) -> Seen {
        let seen = self.hear("seen");
        Seen::read(&seen).unwrap_or_else(|| panic!("{:?} saw something else: {seen}", self.client))
    }

    /// Ends it, which must be a success, with nothing more to say.
    pub(crate) fn end(mut self) {
        let (client, heard) = (self.client, self.heard);
        self.process.close_input();
        let finished = self.process.finish(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
        let lines = finished.output.lines().count();
        assert_eq!(lines, heard, "{client:?} says more: {finished}");
        finished.success().unwrap_or_else(|error| panic!("{error}"));
    }
}
