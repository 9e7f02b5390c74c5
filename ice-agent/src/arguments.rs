//! Values that command-line options of several subcommands have: parsers for clap.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Longest timeout that an option accepts, in seconds.
const MAX_SECONDS: f64 = 60.0;
/// The port of a name server that is named without one.
const DNS_PORT: u16 = 53;

/// A time in seconds, with or without a fraction.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= MAX_SECONDS => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err(format!("expected a number of seconds above 0 and at most {MAX_SECONDS}")),
    }
}

/// The address of a name server, with a port if it is not 53.
pub(crate) fn name_server(text: &str) -> Result<SocketAddr, String> {
    if text.contains('%') {
        return Err(
            "a link-local name server is not supported; write an address without a zone".into()
        );
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address =
        bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DNS_PORT)).or_else(|_| text.parse());
    address
        .map(|address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port()))
        .map_err(|_| "expected an IP address, with a port if it is not 53".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_server_is_an_address_and_perhaps_a_port() {
        for (text, address) in [
            ("192.0.2.53", "192.0.2.53:53"),
            ("192.0.2.53:5353", "192.0.2.53:5353"),
            ("::ffff:192.0.2.53", "192.0.2.53:53"),
            ("::1", "[::1]:53"),
            ("[::1]", "[::1]:53"),
            ("[::1]:5353", "[::1]:5353"),
        ] {
            assert_eq!(name_server(text).unwrap().to_string(), address);
        }
        assert!(name_server("dns.example").is_err());
        assert!(name_server("fe80::1%eth0").is_err());
    }

    #[test]
    fn a_timeout_is_above_zero_and_at_most_a_minute() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(seconds("60"), Ok(Duration::from_secs(60)));
        for bad in ["0", "-1", "60.1", "NaN", "5s"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
