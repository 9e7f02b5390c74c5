//! The variables that are ours: `ICE_AGENT_…`.

use std::ffi::OsString;

use anyhow::bail;

const PREFIX: &str = "ICE_AGENT_";
/// Every variable that something reads.
const KNOWN: [&str; 4] =
    ["ICE_AGENT_USERNAME", "ICE_AGENT_PASSWORD", "ICE_AGENT_PROXY", "ICE_AGENT_RENDEZVOUS"];

/// Refuses variables of ours that nothing reads, that are empty, or that are no text: they would be
/// passed over without a word.
///
/// # Errors
/// The first such variable. Its value is not shown.
pub fn check(variables: impl IntoIterator<Item = (OsString, OsString)>) -> anyhow::Result<()> {
    for (name, value) in variables {
        let name = name.to_string_lossy();
        if !name.to_uppercase().starts_with(PREFIX) {
            continue;
        }
        if !KNOWN.contains(&&*name) {
            bail!(
                "environment variable {name}: nothing reads it; the variables are {}",
                KNOWN.join(", ")
            );
        }
        if value.is_empty() {
            bail!("environment variable {name}: the value is empty; give it one, or unset it");
        }
        if value.to_str().is_none() {
            bail!("environment variable {name}: the value is no UTF-8 text");
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
            ("ICE_AGENT_PASSWROD", "hunter2", "nothing reads it"),
            ("ice_agent_password", "hunter2", "nothing reads it"),
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
