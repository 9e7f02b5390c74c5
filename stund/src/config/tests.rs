//! Tests of the configuration through the same call that `main` makes.

use std::ffi::OsString;

use causeway_daemon::config::{Transport, keys, load, uncommented, undocumented};
use causeway_kit::Scratch;
use causeway_kit::certificates::{Files, Key, ServerCertificate};

use super::*;

fn configure(args: &[&str], environment: &[(&str, &str)]) -> Result<Config, String> {
    let flags = causeway_cli::parse_from::<Flags>([&["stund"], args].concat())
        .map_err(|error| error.to_string())?;
    let environment =
        environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
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
    assert_eq!(
        (config.nat_discovery.len(), config.admin.listen),
        (0, Some("127.0.0.1:9642".parse().unwrap()))
    );
}

#[test]
fn two_addresses_and_two_ports_make_four_endpoints_a_family() {
    let args = [
        "--listen",
        "203.0.113.7:3478,[2001:db8::7]:3478",
        "--alternate-address",
        "203.0.113.8,2001:db8::8",
    ];
    let config = configure(&[&args[..], &["--alternate-port", "4000"]].concat(), &[]).unwrap();
    let endpoints = config.nat_discovery[0].endpoints().map(|endpoint| endpoint.to_string());
    assert_eq!(
        endpoints,
        ["203.0.113.7:3478", "203.0.113.7:4000", "203.0.113.8:3478", "203.0.113.8:4000"]
    );
    assert_eq!(config.nat_discovery[1].alternate.to_string(), "[2001:db8::8]:4000");
    let scope = ("STUND_NAT_DISCOVERY__SCOPE", "private");
    let links = [
        ("STUND_PORT", "udp://10.0.0.1:3478"),
        ("STUND_SERVICE_HOST", "10.0.0.1"),
        ("STUND_SERVICE_PORT", "3478"),
    ];
    let environment =
        [&[("STUND_NAT_DISCOVERY__ALTERNATE_ADDRESS", "127.0.0.2"), scope][..], &links].concat();
    let config = configure(&["--listen", "127.0.0.1:3478"], &environment).unwrap();
    assert_eq!(config.nat_discovery[0].alternate.to_string(), "127.0.0.2:3479");
}

#[test]
fn h44_nat_discovery_that_cannot_work_is_refused() {
    let alternate = ["--alternate-address", "203.0.113.8"];
    refused(
        &alternate,
        &[
            "nat_discovery.alternate_address (--alternate-address)",
            "0.0.0.0 is every address",
            "--listen",
        ],
    );
    let listen = |address| [&alternate[..], &["--listen", address]].concat();
    refused(&listen("203.0.113.8:3478"), &["is the primary address"]);
    refused(&listen("203.0.113.7:3479"), &["nat_discovery.alternate_port", "3479"]);
    refused(&listen("[2001:db8::7]:3478"), &["there is no listener"]);
    refused(&listen("203.0.113.7:3478,203.0.113.9:3478"), &["several addresses"]);
    refused(
        &["--alternate-port", "3479"],
        &["nat_discovery.alternate_port (--alternate-port)", "no second address"],
    );
    refused(
        &["--listen", "203.0.113.7:1", "--alternate-address", "0.0.0.0"],
        &["not an address of a host"],
    );
    // H54
    refused(
        &["--listen", "203.0.113.7:1", "--alternate-address", "::ffff:203.0.113.8"],
        &["write 203.0.113.8"],
    );
    refused(&["--listen", "[::ffff:203.0.113.7]:1"], &["write 203.0.113.7"]);
    refused(
        &["--listen", "203.0.113.7:1", "--alternate-address", "203.0.113.8,203.0.113.9"],
        &["one per family"],
    );
}

#[test]
fn h44_clients_learn_private_addresses_only_if_the_scope_is_private() {
    let private = ["--listen", "10.0.0.7:3478", "--alternate-address", "10.0.0.8"];
    let with = |more: &[&'static str]| [&private[..], more].concat();
    refused(
        &private,
        &[
            "nat_discovery.alternate_address (--alternate-address)",
            "10.0.0.7 (private)",
            "10.0.0.8 (private)",
            "--external-address",
        ],
    );
    refused(&with(&["--external-address", "10.0.0.7=203.0.113.7"]), &["10.0.0.8 (private)"]);
    refused(
        &with(&["--external-address", "10.0.0.7=203.0.113.7,10.0.0.8=192.168.1.2"]),
        &["nat_discovery.external", "192.168.1.2 (private)"],
    );
    refused(
        &with(&["--external-address", "10.0.0.7=203.0.113.7,10.0.0.8=203.0.113.7"]),
        &["the same external address 203.0.113.7"],
    );
    refused(&with(&["--external-address", "10.0.0.9=203.0.113.7"]), &["10.0.0.9 is not among"]);
    refused(
        &with(&["--external-address", "203.0.113.7"]),
        &["nat_discovery.external", "not clear which", "table"],
    );
    refused(&with(&["--external-address", "10.0.0.7=2001:db8::7"]), &["different families"]);
    refused(
        &["--set", "nat_discovery.scope=private"],
        &["nat_discovery.scope (--set nat_discovery.scope)", "no second address"],
    );
    let outer =
        configure(&with(&["--external-address", "10.0.0.7=203.0.113.7,10.0.0.8=203.0.113.8"]), &[])
            .unwrap();
    assert_eq!(
        outer.outside.of("10.0.0.8:3479".parse().unwrap()),
        "203.0.113.8:3479".parse().unwrap()
    );
    assert!(outer.describe().contains(&"10.0.0.7 is seen as 203.0.113.7".to_owned()));
    let inside = configure(&with(&["--set", "nat_discovery.scope=private"]), &[]).unwrap();
    assert_eq!(inside.outside, Outside::default());
}

#[test]
fn an_outer_address_counts_for_a_plain_server_too() {
    let one = configure(&["--listen", "10.0.0.7:3478", "--external-address", "203.0.113.7"], &[])
        .unwrap();
    assert_eq!(one.outside.of("10.0.0.7:1".parse().unwrap()), "203.0.113.7:1".parse().unwrap());
    let everywhere = configure(&["--external-address", "10.0.0.7=203.0.113.7"], &[]).unwrap();
    assert_eq!(
        everywhere.outside.of("10.0.0.7:1".parse().unwrap()),
        "203.0.113.7:1".parse().unwrap()
    );
    assert_eq!(everywhere.outside.of("10.0.0.8:1".parse().unwrap()), "10.0.0.8:1".parse().unwrap());
    refused(&["--external-address", "203.0.113.7"], &["no address of the family of 203.0.113.7"]);
}

#[test]
fn a_certificate_can_be_named_by_flags() {
    refused(
        &["--tls-certificate", "/nowhere.pem", "--tls-key", "/nowhere.pem"],
        &["tls.certificate (--tls-certificate)", "/nowhere.pem"],
    );
}

/// Loads a configuration file with `text` and a new certificate.
fn with_certificate(text: &str) -> Result<Config, String> {
    let scratch = Scratch::new();
    let Files { chain, key } =
        ServerCertificate::self_signed(&["stun.example.org"], Key::ecdsa()).write(&scratch);
    let tls = format!("[tls]\ncertificate = {chain:?}\nkey = {key:?}\n");
    let file = scratch.write("stund.toml", format!("{text}\n{tls}"));
    configure(&["--config", file.to_str().unwrap()], &[])
}

const PLAIN: &str = "[[listen]]\naddress = \"203.0.113.7:3478\"\n";
const SECURE: &str =
    "[[listen]]\naddress = \"203.0.113.7:5349\"\ntransports = [\"tls\", \"dtls\"]\n";
const ALTERNATE: &str = "[nat_discovery]\nalternate_address = \"203.0.113.8\"\n";

#[test]
fn with_a_certificate_tls_and_dtls_are_listened_for_and_have_endpoints_of_their_own() {
    let config = with_certificate("").unwrap();
    let secure: Vec<_> = config
        .listen
        .iter()
        .filter(|listen| listen.transports == [Transport::Tls, Transport::Dtls])
        .collect();
    assert_eq!(secure[0].address, "0.0.0.0:5349".parse().unwrap());
    let config =
        with_certificate(&format!("{PLAIN}{SECURE}{ALTERNATE}alternate_tls_port = 6000")).unwrap();
    let alternates: Vec<_> =
        config.nat_discovery.iter().map(|pair| pair.alternate.to_string()).collect();
    assert_eq!(alternates, ["203.0.113.8:3479", "203.0.113.8:6000"]);
    assert_eq!(config.nat_discovery[1].transports, [Transport::Tls, Transport::Dtls]);
    let alone = with_certificate(&format!("{SECURE}{ALTERNATE}")).unwrap();
    assert_eq!(alone.nat_discovery[0].alternate.to_string(), "203.0.113.8:5350");
}

#[test]
fn rfc5780_6_tcp_and_tls_on_one_port_is_refused_with_an_alternate_address() {
    let one_port = PLAIN.to_owned() + "transports = [\"udp\", \"tcp\", \"tls\"]\n";
    assert!(with_certificate(&one_port).is_ok());
    let error = with_certificate(&(one_port + ALTERNATE)).unwrap_err();
    assert!(error.contains("TCP and TLS share 203.0.113.7:3478"), "{error}");
    let error = with_certificate(&format!("{PLAIN}{SECURE}{ALTERNATE}alternate_tls_port = 3479"))
        .unwrap_err();
    assert!(
        error.contains("nat_discovery.alternate_tls_port") && error.contains("share a port"),
        "{error}"
    );
    let proxied = format!("{PLAIN}proxy_protocol = {{ trusted = [\"10.0.0.0/8\"] }}\n{ALTERNATE}");
    let error = with_certificate(&proxied).unwrap_err();
    assert!(error.contains("reached through proxies"), "{error}");
}

#[test]
fn h11_the_limiter_is_on_unless_it_is_switched_off() {
    let limiter = |value: &str| {
        configure(&["--set", &format!("limits.unauthenticated_per_prefix={value}")], &[])
    };
    assert!(configure(&[], &[]).unwrap().limits.connections.unauthenticated_per_prefix.is_some());
    assert_eq!(limiter("off").unwrap().limits.connections.unauthenticated_per_prefix, None);
    assert!(limiter("maybe").is_err());
}

#[test]
fn h44_keys_and_listeners_that_cannot_be_meant_are_refused() {
    refused(
        &["--set", "lissten=x"],
        &["lissten (--set lissten): unknown key; did you mean listen?"],
    );
    refused(&["--set", "alternate_port=1"], &["did you mean nat_discovery.alternate_port?"]);
    refused(
        &["--set", "listen.0.address=1.2.3.4:5", "--set", "listen.0.transports=tls"],
        &["listen[0].transports", "needs a certificate"],
    );
    refused(&["--listen", "127.0.0.1:9642"], &["admin.listen", "too"]);
    refused(&["--listen", "0.0.0.0:9642"], &["admin.listen", "too"]);
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
        // The schema reads these tables as one value.
        let whole = ["nat_discovery.external", "limits.unauthenticated_per_prefix"]
            .into_iter()
            .find(|whole| key.starts_with(whole));
        let key = whole.map_or_else(|| key.clone(), ToOwned::to_owned);
        assert!(keys::<Schema>().contains(&key), "{key} is documented and does not exist");
    }
    let scratch = Scratch::new();
    let directory = scratch.folder().to_str().unwrap();
    std::fs::create_dir(scratch.path("other")).unwrap();
    scratch.write("admin-token", "t\n");
    for folder in ["", "other/"] {
        let made = ServerCertificate::self_signed(&["stun.example.org"], Key::ecdsa());
        scratch.write(&format!("{folder}fullchain.pem"), made.chain_pem());
        scratch.write(&format!("{folder}key.pem"), made.key_pem());
    }
    let outcomes =
        [SERVICE.default_config.to_owned(), uncommented(SERVICE.default_config)].map(|text| {
            let file = scratch.write("stund.toml", text.replace("/etc/stund", directory));
            configure(&["--config", file.to_str().unwrap()], &[])
        });
    let [default, said] = outcomes.map(Result::unwrap);
    assert_eq!(
        (said.limits, said.log, said.admin.listen),
        (default.limits, default.log, default.admin.listen)
    );
    assert_eq!(said.nat_discovery[0].alternate.to_string(), "203.0.113.8:3479");
}

#[test]
fn h56_what_a_variable_or_a_flag_says_is_read_or_refused() {
    let refused = |arguments: &[&str], environment: &[(&str, &str)], words: &[&str]| {
        let error = configure(arguments, environment).unwrap_err();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    refused(
        &[],
        &[("STUND_NAT_DISCOVERY__ALTERNATE_ADDRESS", "")],
        &["environment variable STUND_NAT_DISCOVERY__ALTERNATE_ADDRESS", "is empty"],
    );
    refused(&[], &[("STUND_PORT", "3479")], &["environment variable STUND_PORT", "unknown key"]);
    refused(
        &["--set", "log.level=info", "--set", "log.level=debug"],
        &[],
        &["log.level", "sets it, too"],
    );
    let twice = [
        "--external-address",
        "10.0.0.7=203.0.113.7",
        "--external-address",
        "10.0.0.7=203.0.113.8",
    ];
    refused(&twice, &[], &["nat_discovery.external.10.0.0.7 (--external-address)", "sets it, too"]);
    refused(
        &["--set", "limits.tcp_idle_timeout=1m30"],
        &[],
        &["limits.tcp_idle_timeout", "expected a duration"],
    );
}
