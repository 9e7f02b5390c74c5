//! The refusals, through the same call that `main` makes.

use std::ffi::OsString;

use causeway_daemon::config::{Transport, keys, load, uncommented, undocumented};

use super::*;

fn configure(args: &[&str], environment: &[(&str, &str)]) -> Result<Config, String> {
    let flags = Flags::try_parse_from([&["stund"], args].concat()).map_err(|error| error.to_string())?;
    let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let loaded = load::<Schema>(&SERVICE, &flags.common, flags.settings(), environment);
    loaded.and_then(|loaded| loaded.resolve(Schema::resolve)).map_err(|error| error.to_string())
}

#[track_caller]
fn refused(args: &[&str], words: &[&str]) {
    let error = configure(args, &[]).expect_err("it must be refused");
    for word in words {
        assert!(error.contains(word), "{word:?} is not in {error:?}");
    }
}

#[test]
fn it_runs_with_nothing_at_all() {
    let config = configure(&[], &[]).unwrap();
    assert_eq!(config.listen[0].address, "0.0.0.0:3478".parse().unwrap());
    assert_eq!(config.listen[0].transports, [Transport::Udp, Transport::Tcp]);
    assert_eq!((config.nat_discovery.len(), config.admin.listen), (0, Some(ADMIN)));
}

#[test]
fn two_addresses_and_two_ports_make_four_endpoints_a_family() {
    let args = ["--listen", "203.0.113.7:3478,[2001:db8::7]:3478", "--alternate-address", "203.0.113.8,2001:db8::8"];
    let config = configure(&[&args[..], &["--alternate-port", "4000"]].concat(), &[]).unwrap();
    let endpoints = config.nat_discovery[0].endpoints().map(|endpoint| endpoint.to_string());
    assert_eq!(endpoints, ["203.0.113.7:3478", "203.0.113.7:4000", "203.0.113.8:3478", "203.0.113.8:4000"]);
    assert_eq!(config.nat_discovery[1].alternate.to_string(), "[2001:db8::8]:4000");
    let environment = [("STUND_NAT_DISCOVERY__ALTERNATE_ADDRESS", "127.0.0.2"), ("STUND_PORT", "udp://10.0.0.1:3478")];
    let config = configure(&["--listen", "127.0.0.1:3478"], &environment).unwrap();
    assert_eq!(config.nat_discovery[0].alternate.to_string(), "127.0.0.2:3479");
}

#[test]
fn h44_nat_discovery_that_cannot_work_is_refused() {
    let alternate = ["--alternate-address", "203.0.113.8"];
    refused(&alternate, &["nat_discovery.alternate_address (--alternate-address)", "0.0.0.0 is every address", "--listen"]);
    let listen = |address| [&alternate[..], &["--listen", address]].concat();
    refused(&listen("203.0.113.8:3478"), &["is the primary address"]);
    refused(&listen("203.0.113.7:3479"), &["nat_discovery.alternate_port", "3479"]);
    refused(&listen("[2001:db8::7]:3478"), &["nothing is listened on"]);
    refused(&listen("203.0.113.7:3478,203.0.113.9:3478"), &["several addresses"]);
    refused(&["--alternate-port", "3479"], &["nat_discovery.alternate_port (--alternate-port)", "no second address"]);
    refused(&["--listen", "203.0.113.7:1", "--alternate-address", "0.0.0.0"], &["no address of a host"]);
    refused(&["--listen", "203.0.113.7:1", "--alternate-address", "203.0.113.8,203.0.113.9"], &["one a family"]);
}

#[test]
fn h44_keys_and_listeners_that_cannot_be_meant_are_refused() {
    refused(&["--set", "lissten=x"], &["lissten (--set lissten): unknown key; did you mean listen?"]);
    refused(&["--set", "alternate_port=1"], &["did you mean nat_discovery.alternate_port?"]);
    refused(&["--set", "listen.0.address=1.2.3.4:5", "--set", "listen.0.transports=tls"], &["listen[0].transports", "needs a certificate"]);
    refused(&["--listen", "127.0.0.1:9642"], &["admin.listen", "too"]);
    refused(&["--set", "limits.tcp_idle_timeout=1ms"], &["limits.tcp_idle_timeout"]);
    let error = configure(&[], &[("STUND_LIMITS__TCP_IDLE_TIMOUT", "5s")]).unwrap_err();
    assert!(error.contains("did you mean STUND_LIMITS__TCP_IDLE_TIMEOUT?"), "{error}");
}

#[test]
fn h41_an_admin_listener_that_others_reach_needs_a_token() {
    refused(&["--admin-listen", "0.0.0.0:9642"], &["admin.listen (--admin-listen)", "token"]);
    assert!(configure(&["--admin-listen", "0.0.0.0:9642", "--set", "admin.token=t"], &[]).is_ok());
    assert_eq!(configure(&["--admin-listen", "off"], &[]).unwrap().admin.listen, None);
}

#[test]
fn every_key_is_documented_and_the_documented_configuration_is_good() {
    assert_eq!(undocumented::<Schema>(SERVICE.default_config), Vec::<String>::new());
    for key in causeway_daemon::config::documented_keys(SERVICE.default_config) {
        assert!(keys::<Schema>().contains(&key), "{key} is explained and does not exist");
    }
    let directory = std::env::temp_dir().join(format!("stund-config-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("admin-token"), "t\n").unwrap();
    let outcomes = [SERVICE.default_config.to_owned(), uncommented(SERVICE.default_config)].map(|text| {
        let file = directory.join("stund.toml");
        std::fs::write(&file, text.replace("/etc/stund", directory.to_str().unwrap())).unwrap();
        configure(&["--config", file.to_str().unwrap()], &[])
    });
    std::fs::remove_dir_all(&directory).unwrap();
    let [default, said] = outcomes.map(Result::unwrap);
    assert_eq!((said.limits, said.log, said.admin.listen), (default.limits, default.log, default.admin.listen));
    assert_eq!(said.nat_discovery[0].alternate.to_string(), "203.0.113.8:3479");
}
