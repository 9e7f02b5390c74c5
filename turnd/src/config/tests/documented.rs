//! The documented configuration: it explains every key, and its values are valid.

use causeway_daemon::config::{uncommented, undocumented};

use causeway_kit::certificates::{Key, ServerCertificate};

use super::*;

#[test]
fn every_key_is_documented() {
    assert_eq!(undocumented::<Schema>(SERVICE.default_config), Vec::<String>::new());
}

#[test]
fn the_documented_configuration_is_good() {
    let scratch = Scratch::new();
    for name in
        ["rest-secret", "rest-secret-2027", "alice", "admin-token", "redis-password", "fleet-key"]
    {
        scratch.write(name, "a random text of more than 32 bytes\n");
    }
    std::fs::create_dir(scratch.0.path("other")).unwrap();
    for folder in ["", "other/"] {
        let made = ServerCertificate::self_signed(&["example.org"], Key::ecdsa());
        scratch.write(&format!("{folder}fullchain.pem"), &made.chain_pem());
        scratch.write(&format!("{folder}key.pem"), &made.key_pem());
    }
    let here = |text: String| text.replace("/etc/turnd", scratch.0.folder().to_str().unwrap());
    let commented = scratch.write("commented.toml", SERVICE.default_config);
    with(&["--config", &commented]).unwrap();
    let all = scratch.write("all.toml", &here(uncommented(SERVICE.default_config)));
    let config = configure(&["--config", &all], &[]).unwrap();
    assert_eq!(config.auth.users[0].name, "alice");

    // The documented values are the defaults; only examples may differ.
    let (default, said) = (with(&[]).unwrap(), config);
    assert_eq!(said.limits, default.limits);
    assert_eq!(said.protocol, default.protocol);
    assert_eq!(said.relay, default.relay);
    assert_eq!(said.log, default.log);
    assert_eq!(
        (said.auth.expiry_grace, said.auth.rest_name),
        (default.auth.expiry_grace, default.auth.rest_name)
    );
    assert_eq!(
        (said.net.receive_buffer, said.net.send_buffer),
        (default.net.receive_buffer, default.net.send_buffer)
    );
    assert_eq!(
        (said.net.moderation, said.net.huge_pages),
        (default.net.moderation, default.net.huge_pages)
    );
    assert_eq!(said.net.dont_fragment, default.net.dont_fragment);
    assert_eq!(said.admin.listen, default.admin.listen);
}

#[test]
fn alternatives_in_the_documentation_are_keys() {
    let known = causeway_daemon::config::keys::<Schema>();
    for key in causeway_daemon::config::documented_keys(SERVICE.default_config) {
        let schema_key = match key.strip_prefix("auth.users.alice") {
            Some(rest) => format!("auth.users.NAME{rest}"),
            // The schema reads these tables as one value.
            None => ["relay.external", "limits.unauthenticated_per_prefix"]
                .into_iter()
                .find(|whole| key.starts_with(whole))
                .map_or_else(|| key.clone(), ToOwned::to_owned),
        };
        assert!(known.contains(&schema_key), "{schema_key} is documented and does not exist");
    }
}
