//! Where two agents meet: the rendezvous' URL, and what both share.

use std::fmt;

use anyhow::{Context, bail};

use crate::rendezvous::{RoomKey, RoomName, RoomSecret};
use crate::transport::http::BaseUrl;

/// The rendezvous and the room.
#[derive(Debug)]
pub(super) struct Meeting {
    pub(super) base: BaseUrl,
    pub(super) key: RoomKey,
    /// The room's name in a report: the chosen one, or the beginning of the id.
    pub(super) shown: String,
    /// A line for the user before the agent waits.
    pub(super) notice: Option<Notice>,
}

/// Something that the user must do or know.
#[derive(Debug)]
pub(super) enum Notice {
    /// The other agent is to be given this link.
    GiveLink(BaseUrl, RoomSecret),
    /// The room's name is no secret.
    Guessable,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GiveLink(base, secret) => write!(f, "on the other side: ice-agent connect --rendezvous '{base}/#{secret}'"),
            Self::Guessable => f.write_str(
                "note: anyone who guesses the room's name can take a seat in it and read the ICE password; without --room a secret link is made",
            ),
        }
    }
}

impl Meeting {
    /// Of `--rendezvous` and `--room`. `random` makes the secret where neither has one.
    ///
    /// # Errors
    /// The URL is none, or there are both a secret and a name. The secret stands in no error.
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
                bail!("the link of --rendezvous names the room already; leave --room out")
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
        assert!(meeting.notice.unwrap().to_string().contains("guesses"));
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
