//! The files of a certificate as operators damage them: at `--check-config`, at the start and while
//! the servers run.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use causeway_kit::Scratch;
use causeway_kit::port;
use causeway_kit::program::built;
use causeway_tests::daemon::certificates::{Certificates, KeyKind};
use causeway_tests::daemon::service::{self, Service};

/// Both servers with this certificate and all transports on one port: name, address and
/// configuration.
pub(crate) fn both(certificates: &Certificates) -> [(&'static str, SocketAddr, String); 2] {
    ["stund", "turnd"].map(|name| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
        let plain = match name {
            "stund" => service::stund_config(address),
            _ => service::turnd_config(address, "", ""),
        };
        let listen = format!("address = \"{address}\"\n");
        let config = plain.replacen(
            &listen,
            &format!("{listen}transports = [\"udp\", \"tcp\", \"tls\", \"dtls\"]\n"),
            1,
        );
        (name, address, config + &certificates.table())
    })
}

/// The exit status and the output of `--check-config`.
fn checked(name: &str, config: &str) -> (Option<i32>, String) {
    let scratch = Scratch::new();
    let file: PathBuf = scratch.write("config.toml", config);
    let output =
        Command::new(built(name)).args(["--check-config", "--config"]).arg(file).output().unwrap();
    (
        output.status.code(),
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat(),
    )
}

/// The chain as `printf %s "$(cat leaf.pem)" | cat - intermediate.pem` joins two files.
fn glued(chain: &str) -> Vec<u8> {
    chain.replacen("-----END CERTIFICATE-----\n", "-----END CERTIFICATE-----", 1).into()
}

#[test]
fn h56_a_glued_chain_is_refused_at_the_check_at_the_start_and_at_a_reload() {
    const WORDS: &str = "two markers on one line: two files were joined without a line end";
    for kind in [KeyKind::Ecdsa, KeyKind::Rsa] {
        let certificates = Certificates::make(kind);
        let servers = both(&certificates);
        let running = servers
            .each_ref()
            .map(|(name, address, config)| Service::start(name, *address, config));
        certificates.edit_chain(glued);
        for ((name, _, config), service) in servers.iter().zip(running) {
            service.signal("HUP");
            service.until_log("the old certificate stays in use");
            service.until_log(WORDS);
            service.end();
            let (status, words) = checked(name, config);
            assert!(
                status == Some(2) && words.contains("tls.certificate") && words.contains(WORDS),
                "{name}: {words}"
            );
            let (status, words) = Service::refused(name, config);
            assert!(status.code() == Some(2) && words.contains(WORDS), "{name}: {words}");
        }
    }
}

#[test]
fn h56_the_check_the_start_and_a_reload_print_the_certificates_and_their_end() {
    let certificates = Certificates::make(KeyKind::Ecdsa);
    let servers = both(&certificates);
    for (name, address, config) in &servers {
        let (status, words) = checked(name, config);
        assert!(
            status == Some(0)
                && words.contains("3 certificates, for localhost, 127.0.0.1, ::1, until 20"),
            "{name}: {words}"
        );
        let service = Service::start(name, *address, config);
        service.until_log("3 certificates, for localhost");
        certificates.edit_chain(|chain| {
            [b"# of M\xfcller, in Latin-1\n", chain.replace('\n', "\r\n").as_bytes()].concat()
        });
        service.signal("HUP");
        service.until_log("certificate replaced");
        assert!(!service.log().contains("the old certificate stays"), "{}", service.log());
        service.end();
        assert_eq!(checked(name, config).0, Some(0));
        certificates.edit_chain(|chain| {
            chain.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>().into()
        });
    }
}

#[test]
fn h56_a_certificate_that_no_listener_uses_is_reported() {
    let certificates = Certificates::make(KeyKind::Ecdsa);
    for (name, address, config) in both(&certificates) {
        let plain = config.replacen(", \"tls\", \"dtls\"]", "]", 1);
        let (status, words) = checked(name, &plain);
        assert!(
            status == Some(0) && words.contains("warning: tls.certificate is not used"),
            "{name}: {words}"
        );
        Service::start(name, address, &plain).until_log("tls.certificate is not used");
        assert!(!checked(name, &config).1.contains("is not used"));
    }
}

#[test]
fn h56_a_certificate_that_expires_is_reported_while_the_servers_run() {
    const HOUR: Duration = Duration::from_secs(3_600);
    let certificates = Certificates::make(KeyKind::Ecdsa);
    for (name, address, config) in both(&certificates) {
        let service = Service::start_under_clock(name, address, &config);
        service.until_log("certificate loaded");
        assert!(!service.log().contains("certificate ends soon"), "{}", service.log());
        let told = |words: &str| service.log().matches(words).count();
        // The files are the same: the signal only saves the five seconds until the next check.
        let look_at = |hours: u32| {
            service.move_clock(HOUR * hours);
            service.signal("HUP");
        };
        // It is valid for two days: the warning comes in their last fifth, and again after the
        // end.
        look_at(40);
        service.until_log("the certificate ends soon: renew it");
        look_at(49);
        service.until_log("the certificate has expired: clients refuse it; renew it");
        look_at(74);
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while told("the certificate has expired") < 2 {
            assert!(
                std::time::Instant::now() < deadline,
                "no second warning a day later:\n{}",
                service.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(told("the certificate ends soon"), 1, "{}", service.log());
    }
}
