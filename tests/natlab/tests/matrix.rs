//! The real programs across real NATs: `ice-agent nat` recognises each kind, and a call works
//! between every two kinds, direct exactly where theory says that it can be.

use std::io::Write;

use causeway_natlab::call::call;
use causeway_natlab::matrix::{Outcome, render};
use causeway_natlab::recognition::{expected, recognise};
use causeway_natlab::services::{Services, Stund};
use causeway_natlab::theory::best_path;
use causeway_natlab::{Lab, LabError, NatKind, parallel};

/// Calls mostly wait; more at a time than this and two cores show up as jitter.
const AT_ONCE: usize = 4;

#[test]
fn ice_agent_recognises_every_kind_of_nat() {
    let lab = Lab::new(&NatKind::ALL).unwrap();
    let stund = Stund::start(&lab).unwrap();
    let server = Stund::address(&lab);
    let seen =
        parallel(lab.sites.iter().collect(), NatKind::ALL.len(), |site| recognise(site, server));
    for ((kind, site), seen) in NatKind::ALL.into_iter().zip(&lab.sites).zip(seen) {
        let seen = seen.unwrap();
        assert_eq!(seen, expected(kind, site, server, &seen), "{kind}");
    }
    stund.stop().unwrap();
}

fn outcome(kinds: [NatKind; 2]) -> Outcome {
    let connected = || -> Result<_, LabError> {
        let lab = Lab::new(&kinds)?;
        let services = Services::start(&lab)?;
        let call = call(&lab, &services).map_err(|error| {
            LabError::Unexpected(format!("{error}\nthe servers' logs:\n{}", services.log_tails()))
        })?;
        services.stop()?;
        Ok(call)
    };
    let call = connected().map_err(|error| error.to_string());
    Outcome {
        behind: kinds.map(|kind| kind.to_string()),
        expected: best_path(kinds[0], kinds[1]),
        call,
    }
}

#[test]
fn a_call_connects_every_two_kinds_of_nat() {
    // Both orders: who calls first, and so who decides, differs.
    let pairs = NatKind::ALL.into_iter().flat_map(|a| NatKind::ALL.map(|b| [a, b])).collect();
    let outcomes = parallel(pairs, AT_ONCE, outcome);

    // Written past the test harness, which would show it only after a failure.
    let mut stdout = std::io::stdout();
    writeln!(stdout, "\n{}", render(&outcomes)).unwrap();

    let faults: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| {
            Some(format!("{} with {}: {}", outcome.behind[0], outcome.behind[1], outcome.fault()?))
        })
        .collect();
    assert!(
        faults.is_empty(),
        "{} of {} pairs failed:\n{}",
        faults.len(),
        outcomes.len(),
        faults.join("\n")
    );
}
