//! The meeting of two agents: the URL of the rendezvous, and the secret or name that they share.

use std::fmt;

use anyhow::{Context, bail};

use crate::rendezvous::{RoomKey, RoomName, RoomSecret};
use crate::transport::http::BaseUrl;

/// The rendezvous and the room.
#[derive(Debug)]
pub(super) struct Meeting {
    pub(super) base: BaseUrl,
    pub(super) key: RoomKey,
    /// The room's name in the report: the chosen name, or the beginning of the id.
    pub(super) shown: String,
    /// A notice for the user before the agent waits for its peer.
    pub(super) notice: Option<Notice>,
}

/// A notice for the user.
#[derive(Debug)]
pub(super) enum Notice {
    /// Give this link to the other agent.
    GiveLink(BaseUrl, RoomSecret),
    /// The room's name can be guessed.
    Guessable,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GiveLink(base, secret) => {
                write!(f, "on the other side: ice-agent connect --rendezvous '{base}/#{secret}'")
            }
            Self::Guessable => f.write_str(
                "note: a room's name can be guessed, and with it the ICE password can be read; \
                                 without --room, the agent makes a secret link",
            ),
        }
    }
}

impl Meeting {
    /// Reads `--rendezvous` and `--room`. If neither names a room, `random` becomes the secret.
    ///
    /// # Errors
    /// The URL is invalid, or there are both a secret and a name. No error contains the secret.
    pub(super) fn of(
        rendezvous: &str,
        room: Option<&RoomName>,
        random: [u8; 16],
    ) -> anyhow::Result<Self> {
        let (url, secret) = match rendezvous.split_once('#') {
            Some((url, secret)) => (url, Some(secret)),
            None => (rendezvous, None),
        };
        let base: BaseUrl = url.parse().context("--rendezvous")?;
        match (secret.filter(|secret| !secret.is_empty()), room) {
            (Some(_), Some(_)) => {
                bail!("--room cannot be used with a link, which names the room already")
            }
            (Some(secret), None) => {
                Ok(Self::secret(base, &secret.parse().context("--rendezvous")?))
            }
            (None, Some(name)) => Ok(Self {
                base,
                key: RoomKey::of_name(name),
                shown: name.to_string(),
                notice: Some(Notice::Guessable),
            }),
            (None, None) => {
                let secret = RoomSecret::from_random(random);
                let mut meeting = Self::secret(base, &secret);
                meeting.notice = Some(Notice::GiveLink(meeting.base.clone(), secret));
                Ok(meeting)
            }
        }
    }

    fn secret(base: BaseUrl, secret: &RoomSecret) -> Self {
        let key = RoomKey::of_secret(secret);
        let shown = key.id().to_string().chars().take(8).collect();
        Self { base, key, shown, notice: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rendezvous: &str, room: Option<&str>) -> anyhow::Result<Meeting> {
        Meeting::of(rendezvous, room.map(|name| name.parse().unwrap()).as_ref(), [7; 16])
    }

    #[test]
    fn the_link_leads_the_other_side_to_the_same_room() {
        let made = of("https://example.org/meet/", None).unwrap();
        let notice = made.notice.as_ref().unwrap().to_string();
        let link = notice.split('\'').nth(1).unwrap();
        assert!(link.starts_with("https://example.org/meet/#"), "{link}");
        let given = of(link, None).unwrap();
        assert_eq!(
            (given.base, given.key.id(), given.shown),
            (made.base, made.key.id(), made.shown)
        );
        assert!(given.notice.is_none());
    }

    #[test]
    fn a_chosen_name_is_told_to_be_guessable() {
        let meeting = of("http://127.0.0.1:8088", Some("blue")).unwrap();
        assert_eq!(meeting.shown, "blue");
        assert!(meeting.notice.unwrap().to_string().contains("guessed"));
    }

    #[test]
    fn what_is_no_link_is_refused_without_its_secret() {
        let secret = RoomSecret::from_random([7; 16]).to_string();
        for (bad, room) in [
            (format!("https://h/#{}", &secret[1..]), None),
            (format!("ftp://h/#{secret}"), None),
            (format!("https://h/#{secret}"), Some("blue")),
        ] {
            let error = format!("{:#}", of(&bad, room).unwrap_err());
            assert!(!error.contains(&secret[1..]), "{error}");
        }
    }
}
