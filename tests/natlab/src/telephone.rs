//! baresip, a SIP telephone that others wrote, and the registrar and proxy through which two of
//! them find each other.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::services::{PHONE_PASSWORD, PHONE_USER, Services};
use crate::{Lab, LabError, Process, Scratch, Site, binary};

const SIP_PORT: u16 = 5060;
const START: Duration = Duration::from_secs(20);

/// The SIP server on the lab's public host.
#[derive(Debug)]
pub struct SipServer(Process);

impl SipServer {
    /// Starts it on the server's first address.
    ///
    /// # Errors
    /// [`LabError`] when it does not come up.
    pub fn start(lab: &Lab) -> Result<Self, LabError> {
        let mut command = lab.server.namespace.command(binary("lab-sip")?);
        command.arg(SocketAddr::new(lab.server.address(), SIP_PORT).to_string());
        let mut process = Process::start("lab-sip", command)?;
        process.wait_line("listening", START)?;
        Ok(Self(process))
    }

    /// The messages that passed through it, one a line.
    #[must_use]
    pub fn log(&self) -> String {
        self.0.output()
    }
}

/// One telephone. It sends a tone, and hears what comes without a loudspeaker.
#[derive(Debug)]
pub struct Telephone {
    process: Process,
    _scratch: Scratch,
}

/// How a telephone gets its media through a NAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// Everything through a relayed address, the only one that it offers.
    Relay,
    /// ICE: it offers all its addresses, private ones too, and checks each pair.
    Ice,
}

impl Media {
    /// Its name to baresip.
    fn module(self) -> &'static str {
        match self {
            Self::Relay => "turn",
            Self::Ice => "ice",
        }
    }
}

/// A telephone's counters of a finished call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// RTP packets that it received.
    pub received: u64,
    /// RTP packets that it sent.
    pub sent: u64,
    /// Of those it sent, how many the other end missed, and of the other's how many it missed
    /// itself.
    pub lost: [i64; 2],
}

impl Telephone {
    /// Starts it at a site and waits until it is registered as `user`; it ends by itself after some
    /// seconds. It answers every call.
    ///
    /// # Errors
    /// [`LabError`] with what it said when it is not installed or cannot register.
    pub fn start(
        site: &Site,
        services: &Services,
        media: Media,
        user: &str,
        dial: Option<&str>,
        seconds: u32,
    ) -> Result<Self, LabError> {
        let scratch = Scratch::new();
        let (turn, server) = (services.turn(), services.turn().ip());
        scratch.write("config", config(site.client.address()));
        scratch.write(
            "accounts",
            format!(
                "<sip:{user}@{server}>;regint=30;answermode=auto;audio_codecs=PCMU/8000/1;\
                 medianat={};\
                 stunserver=\"turn:{turn}\";stunuser={PHONE_USER};stunpass={PHONE_PASSWORD}\n",
                media.module()
            ),
        );
        scratch.write("contacts", "");
        let mut command = site.client.namespace.command("baresip");
        command.arg("-f").arg(scratch.folder()).args(["-4", "-t", &seconds.to_string()]);
        if let Some(other) = dial {
            command.args(["-e", &format!("/dial sip:{other}@{server}")]);
        }
        let mut process = Process::start(format!("baresip of {user}"), command)?;
        process.wait_line("200 OK", START)?;
        Ok(Self { process, _scratch: scratch })
    }

    /// Waits until it is in a call.
    ///
    /// # Errors
    /// [`LabError`] with what it said when it gets none.
    pub fn wait_established(&mut self) -> Result<(), LabError> {
        Ok(self.process.wait_line("Call established", START).map(drop)?)
    }

    /// Waits for its end; what it counted.
    ///
    /// # Errors
    /// [`LabError`] with what it said when it counted nothing.
    pub fn finish(self) -> Result<Heard, LabError> {
        let finished = self.process.finish(START * 3)?;
        let lines: Vec<&str> = finished.output.lines().chain(finished.errors.lines()).collect();
        heard(&lines).ok_or_else(|| {
            LabError::Unexpected(format!("baresip has counted nothing:\n{finished}"))
        })
    }

    /// The last lines that it wrote.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }
}

fn config(own: IpAddr) -> String {
    let modules = ["g711", "ausine", "aubridge", "stun", "turn", "ice"];
    let mut config = String::from("poll_method epoll\n");
    config.push_str(&format!("sip_listen {own}:0\n"));
    config.push_str(
        "audio_source ausine,440\naudio_player aubridge,nowhere\naudio_alert aubridge,nowhere\n",
    );
    config.push_str("ausrc_srate 48000\nausrc_channels 2\n");
    config.push_str("auplay_srate 48000\nauplay_channels 2\nrtp_stats yes\n");
    config.push_str("module_path /usr/lib/baresip/modules\n");
    config.extend(modules.map(|module| format!("module {module}.so\n")));
    config.push_str("module_app account.so\nmodule_app menu.so\n");
    config
}

/// Reads the table that a telephone writes at the end of a call: a line for each count, first of
/// what it sent, then of what it received.
fn heard(lines: &[&str]) -> Option<Heard> {
    let row = |name: &str| {
        let mut numbers =
            lines.iter().find_map(|line| line.trim_start().strip_prefix(name))?.split_whitespace();
        Some((numbers.next()?, numbers.next()?))
    };
    let (sent, received) = row("packets:")?;
    let (lost_of_sent, lost_of_received) = row("lost:")?;
    Some(Heard {
        sent: sent.parse().ok()?,
        received: received.parse().ok()?,
        lost: [lost_of_sent.parse().ok()?, lost_of_received.parse().ok()?],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read() {
        let lines = [
            "audio           Transmit:     Receive:",
            "packets:            799          798",
            "lost:                 1            2",
        ];
        assert_eq!(heard(&lines), Some(Heard { received: 798, sent: 799, lost: [1, 2] }));
        assert_eq!(heard(&lines[..1]), None);
    }
}
