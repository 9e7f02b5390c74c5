//! Checks the environment variables of this program, `ICE_AGENT_…`.

use std::ffi::OsString;

use anyhow::bail;

const PREFIX: &str = "ICE_AGENT_";
/// Every variable that the program reads.
const KNOWN: [&str; 4] =
    ["ICE_AGENT_USERNAME", "ICE_AGENT_PASSWORD", "ICE_AGENT_PROXY", "ICE_AGENT_RENDEZVOUS"];

/// Refuses `ICE_AGENT_…` variables that are unknown, empty or not UTF-8, which would otherwise be
/// ignored silently.
///
/// # Errors
/// The first such variable. The message does not contain its value.
pub fn check(variables: impl IntoIterator<Item = (OsString, OsString)>) -> anyhow::Result<()> {
    for (name, value) in variables {
        let name = name.to_string_lossy();
        if !name.to_uppercase().starts_with(PREFIX) {
            continue;
        }
        if !KNOWN.contains(&&*name) {
            bail!("environment variable {name} is unknown; the variables are {}", KNOWN.join(", "));
        }
        if value.is_empty() {
            bail!("environment variable {name} is empty; set a value or unset it");
        }
        if value.to_str().is_none() {
            bail!("environment variable {name} is not valid UTF-8");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    fn check(name: &str, value: &str) -> Result<(), String> {
        super::check([(name.into(), value.into())]).map_err(|error| error.to_string())
    }

    #[test]
    fn h56_a_variable_of_ours_is_read_or_refused() {
        assert_eq!(check("PATH", ""), Ok(()));
        assert_eq!(check("ICE_AGENT_PASSWORD", "hunter2"), Ok(()));
        for (name, value, told) in [
            ("ICE_AGENT_PASSWROD", "hunter2", "is unknown"),
            ("ice_agent_password", "hunter2", "is unknown"),
            ("ICE_AGENT_USERNAME", "", "is empty"),
            ("ICE_AGENT_PROXY", "", "is empty"),
        ] {
            let error = check(name, value).unwrap_err();
            assert!(
                error.contains(told) && error.contains(name) && !error.contains("hunter2"),
                "{error}"
            );
        }
    }
}
