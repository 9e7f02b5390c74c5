//! Calls across NATs outlive the crash of their relay.

use std::io::Write;
use std::time::Duration;

use causeway_natlab::call::Steady;
use causeway_natlab::durable::DurableTurnd;
use causeway_natlab::services::Services;
use causeway_natlab::theory::Path;
use causeway_natlab::{Lab, NatKind};

const CALLS: usize = 20;
/// Each call's datagrams, one way, and the milliseconds between two of them: 12 seconds of them.
const COUNT: u32 = 600;
const INTERVAL_MS: u32 = 20;
/// Maximum number of lost datagrams a call: two seconds of it, of which the crash itself is a small
/// part.
const MOST_LOST: u32 = 100;

#[test]
fn twenty_calls_between_symmetric_nats_outlive_a_crash_of_turnd() {
    let lab = Lab::new(&[NatKind::Symmetric, NatKind::Symmetric]).unwrap();
    let services = Services::start(&lab).unwrap();
    let mut relay = DurableTurnd::start(&lab).unwrap();
    let mut calls: Vec<Steady> = (0..CALLS)
        .map(|at| Steady::start(&lab, &services, relay.address(), at, COUNT, INTERVAL_MS).unwrap())
        .collect();
    for call in &mut calls {
        call.wait_selected().unwrap_or_else(|error| panic!("{error}\n{}", relay.log_tail()));
    }
    // Each of them talks when the relay dies: a busy machine takes its time for forty agents.
    std::thread::sleep(Duration::from_secs(4));
    let (away, restored) = relay.crash(&lab).unwrap();

    // The kernel may hold a port a moment longer; such an allocation comes back late, and the call
    // shows it at its end.
    let at_once = restored
        .split("restored=")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next()?.parse::<usize>().ok());
    assert!(at_once.is_some_and(|count| (CALLS..=2 * CALLS).contains(&count)), "{restored}");

    let mut stdout = std::io::stdout();
    let mut felt = 0;
    writeln!(stdout, "\nturnd was away for {away:.1?}; {restored}").unwrap();
    for (at, call) in calls.into_iter().enumerate() {
        let sides = call
            .finish()
            .unwrap_or_else(|error| panic!("call {at}: {error}\n{}", relay.log_tail()));
        for side in &sides {
            let lost = side.sent - side.echoed;
            writeln!(
                stdout,
                "call {:2}: {:6} {} of {} came back, about {} ms lost",
                at + 1,
                side.end.to_string(),
                side.echoed,
                side.sent,
                lost * INTERVAL_MS
            )
            .unwrap();
            assert_eq!((side.path, side.sent), (Path::Relayed, COUNT), "call {at}");
            assert!(lost <= MOST_LOST, "call {at} lost {lost}:\n{}", relay.log_tail());
        }
        felt += usize::from(sides.iter().any(|side| side.echoed < side.sent));
    }
    assert!(
        felt > CALLS / 2,
        "only {felt} of {CALLS} calls have felt the crash: the others were not there"
    );
    relay.stop().unwrap();
    services.stop().unwrap();
}
