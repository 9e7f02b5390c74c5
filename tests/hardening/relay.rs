//! Rows of the relay core, through the server.

use std::time::Duration;

use causeway_relay::Limits;
use causeway_tests::{Client, Lab};

#[test]
fn h33_refreshing_again_and_again_fills_no_table() {
    for default_lifetime in [600, 2] {
        let limits = Limits { default_lifetime: Duration::from_secs(default_lifetime), ..Limits::default() };
        let mut lab = Lab::with(|setup| setup.limits = limits);
        let mut client = Client::udp(1);
        client.allocate(&mut lab);
        for _ in 0..1000 {
            client.refresh(&mut lab, 3600);
            client.refresh(&mut lab, 1);
            lab.pass(Duration::from_micros(100));
        }
        assert!(lab.server.gauges().timers <= 4, "{} entries", lab.server.gauges().timers);
        lab.pass_seconds(default_lifetime);
        assert_eq!(lab.server.gauges().allocations, 0, "and it expires in time");
    }
}
