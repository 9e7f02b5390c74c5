//! `limits.unauthenticated_per_prefix`: how much is answered to addresses that may be forged (H11).

use causeway_auth::LimiterSettings;
use serde::Deserialize;

use super::error::Problem;
use super::values::ByteSize;

/// More for one address is no limit.
const LARGEST: u32 = 64 << 20;

/// Whether, and how far, answers to datagrams are limited that nobody has logged in by.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"on\", \"off\" or { burst = \"24 KiB\", rate = \"2560 B\" }"
)]
pub enum Unauthenticated {
    /// As ever, or not at all.
    Switch(Switch),
    /// So far.
    Numbers(Numbers),
}

/// On or off.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// With the default numbers.
    On,
    /// Without limit.
    Off,
}

/// Bytes at once, and bytes a second.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Numbers {
    burst: ByteSize,
    rate: ByteSize,
}

impl Default for Unauthenticated {
    fn default() -> Self {
        Self::Switch(Switch::On)
    }
}

impl Unauthenticated {
    /// The limiter's settings; `None` is no limit.
    ///
    /// # Errors
    /// The numbers are no limit.
    pub fn settings(self) -> Result<Option<LimiterSettings>, Problem> {
        let Numbers { burst, rate } = match self {
            Self::Switch(Switch::On) => return Ok(Some(LimiterSettings::default())),
            Self::Switch(Switch::Off) => return Ok(None),
            Self::Numbers(numbers) => numbers,
        };
        let [burst, rate] =
            [burst, rate].map(|size| u32::try_from(size.0).ok().filter(|size| *size <= LARGEST));
        match (burst, rate) {
            (Some(burst), Some(rate)) => Ok(Some(LimiterSettings { burst, rate })),
            _ => {
                let what = "more than 64 MiB for one address: that is no limit";
                Err(Problem::new("limits.unauthenticated_per_prefix", what).hint("\"off\" says so"))
            }
        }
    }
}
