//! `limits.unauthenticated_per_prefix`: the limit on answers to addresses that may be forged (H11).

use causeway_auth::LimiterSettings;
use serde::Deserialize;
use serde::de::Deserializer;

use super::error::Problem;
use super::values::ByteSize;

/// Maximum of both numbers: more for one address would not limit anything.
const MAX_BYTES: u32 = 64 << 20;

/// The settings of the limiter; `None` is no limit.
///
/// # Errors
/// The value is not `"on"`, `"off"` or a table of two sizes.
pub(crate) fn unauthenticated<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<LimiterSettings>, D::Error> {
    Ok(match Written::deserialize(deserializer)? {
        Written::Switch(Switch::On) => Some(LimiterSettings::default()),
        Written::Switch(Switch::Off) => None,
        Written::Numbers(Numbers { burst, rate }) => {
            let bytes = |size: ByteSize| u32::try_from(size.0).unwrap_or(u32::MAX);
            Some(LimiterSettings { burst: bytes(burst), rate: bytes(rate) })
        }
    })
}

/// Refuses numbers that limit nothing.
pub(crate) fn unauthenticated_problem(
    LimiterSettings { burst, rate }: LimiterSettings,
) -> Option<Problem> {
    (burst.max(rate) > MAX_BYTES).then(|| {
        let what = "more than 64 MiB for one address does not limit anything";
        Problem::new("limits.unauthenticated_per_prefix", what).hint("write \"off\" for no limit")
    })
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"on\", \"off\" or { burst = \"24 KiB\", rate = \"2560 B\" }"
)]
enum Written {
    Switch(Switch),
    Numbers(Numbers),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Switch {
    On,
    Off,
}

/// Bytes at once, and bytes per second.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Numbers {
    burst: ByteSize,
    rate: ByteSize,
}
