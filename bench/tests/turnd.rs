//! Every scenario against the real `turnd`, briefly, with every delivery checked and nothing timed.

use std::net::SocketAddr;
use std::time::Duration;

use causeway_bench::load::{
    Access, Direction, Fleet, Measured, Operation, Pace, Process, Scenario, Target, Traffic,
    Transport,
};
use causeway_kit::port;
use causeway_tests::daemon::certificates::{Certificates, KeyKind};
use causeway_tests::daemon::service::{self, PASSWORD, Service, USER};

const SLICE: Duration = Duration::from_millis(40);
const ALLOCATIONS: usize = 20;

fn turnd() -> Service {
    service::turnd("\"allow 127.0.0.0/8\"", limits())
}

/// One user and a few prefixes, so the limits for those must not interfere.
fn limits() -> &'static str {
    "[limits]\nallocations_per_user = 1000\nunauthenticated_per_prefix = \"off\"\n"
}

fn target(address: SocketAddr) -> Target {
    Target::new(address, Access::Turn { username: USER.into(), password: PASSWORD.into() })
}

fn play(turnd: &Service, scenario: &Scenario) -> Measured {
    let mut fleet = Fleet::new(scenario, &target(turnd.address))
        .unwrap_or_else(|error| panic!("{scenario:?}: {error:#}\n{}", turnd.log()));
    let measured = fleet.run(SLICE).unwrap_or_else(|error| panic!("{scenario:?}: {error:#}"));
    assert!(measured.sent > 0, "{scenario:?}");
    assert_eq!(measured.delivered, measured.sent, "{scenario:?}: {measured:?}");
    assert_eq!(
        (measured.corrupt, measured.misdelivered, measured.duplicates, measured.late),
        (0, 0, 0, 0),
        "{scenario:?}: {measured:?}"
    );
    measured
}

fn scenario(transport: Transport, direction: Direction) -> Scenario {
    // A small window: a machine that is busy with other tests must lose nothing.
    Scenario {
        transport,
        direction,
        allocations: ALLOCATIONS,
        pace: Pace::Window(32),
        ..Scenario::default()
    }
}

const DIRECTIONS: [Direction; 5] =
    [Direction::ToPeer, Direction::ToClient, Direction::Both, Direction::Echo, Direction::Relay];

#[test]
fn channels_and_indications_in_every_direction() {
    let turnd = turnd();
    for transport in [Transport::Udp, Transport::Tcp] {
        for direction in DIRECTIONS {
            for operation in [Operation::Channel, Operation::Send] {
                play(&turnd, &Scenario { operation, ..scenario(transport, direction) });
            }
        }
    }
    // The allocations are released.
    turnd.until_metric("turnd_allocations{transport=\"udp\",family=\"ipv4\"}", 0);
}

#[test]
fn bursts_in_pieces_and_in_one_piece() {
    let turnd = turnd();
    for direction in DIRECTIONS {
        for offload in [false, true] {
            for operation in [Operation::Channel, Operation::Send] {
                play(
                    &turnd,
                    &Scenario {
                        operation,
                        burst: 8,
                        size: 1200,
                        offload,
                        ..scenario(Transport::Udp, direction)
                    },
                );
            }
        }
        play(&turnd, &Scenario { burst: 8, ..scenario(Transport::Tcp, direction) });
    }
}

#[test]
fn h51_mixed_sizes_and_frames_keep_their_order_over_both_backends() {
    for backend in ["epoll", "io_uring"] {
        let turnd = service::turnd(
            "\"allow 127.0.0.0/8\"",
            &format!("{}[net]\nbackend = \"{backend}\"\n", limits()),
        );
        every_mixture(&turnd);
    }
}

fn every_mixture(turnd: &Service) {
    for transport in [Transport::Udp, Transport::Tcp] {
        for direction in DIRECTIONS {
            for operation in [Operation::Channel, Operation::Send] {
                let mixed = Scenario {
                    operation,
                    traffic: Traffic::Mixed,
                    size: 1_200,
                    ..scenario(transport, direction)
                };
                play(turnd, &mixed);
                play(turnd, &Scenario { pace: Pace::WINDOW, ..mixed });
                play(turnd, &Scenario { traffic: Traffic::Frames, ..mixed });
            }
        }
    }
}

#[test]
fn requests() {
    let turnd = turnd();
    for transport in [Transport::Udp, Transport::Tcp] {
        for operation in [Operation::Allocate, Operation::ChannelBind, Operation::Binding] {
            play(&turnd, &Scenario { operation, ..scenario(transport, Direction::ToPeer) });
        }
    }
}

#[test]
fn a_tenth_of_the_allocations_is_released_in_each_run_and_made_again_between_two() {
    let turnd = turnd();
    let scenario = Scenario {
        operation: Operation::Release,
        allocations: 30,
        ..scenario(Transport::Udp, Direction::ToPeer)
    };
    let mut fleet = Fleet::new(&scenario, &target(turnd.address)).unwrap();
    for _ in 0..3 {
        fleet.prepare().unwrap();
        turnd.until_metric("turnd_allocations{transport=\"udp\",family=\"ipv4\"}", 30);
        let measured = fleet.run(SLICE).unwrap();
        assert_eq!((measured.sent, measured.delivered), (3, 3));
        turnd.until_metric("turnd_allocations{transport=\"udp\",family=\"ipv4\"}", 27);
    }
}

#[test]
fn more_channels_than_the_server_gives() {
    let turnd = service::turnd(
        "\"allow 127.0.0.0/8\"",
        "[limits]\nchannels_per_allocation = 3\nunauthenticated_per_prefix = \"off\"",
    );
    let scenario = Scenario {
        operation: Operation::ChannelBind,
        allocations: 2,
        ..scenario(Transport::Udp, Direction::ToPeer)
    };
    let mut fleet = Fleet::new(&scenario, &target(turnd.address)).unwrap();
    let (mut delivered, mut sent) = (0, 0);
    while delivered < 100 {
        let measured = fleet.run(SLICE).unwrap();
        (delivered, sent) = (delivered + measured.delivered, sent + measured.sent);
    }
    assert_eq!(delivered, sent);
}

#[test]
fn tls_and_dtls() {
    let certificates = Certificates::make(KeyKind::Ecdsa);
    let address = SocketAddr::from(([127, 0, 0, 1], port::free()));
    let listen = format!("address = \"{address}\"\n");
    let config = service::turnd_config(
        address,
        "\"allow 127.0.0.0/8\"",
        &format!("{}{}", certificates.table(), limits()),
    );
    let config = config.replacen(
        &listen,
        &format!("{listen}transports = [\"udp\", \"tcp\", \"tls\", \"dtls\"]\n"),
        1,
    );
    let turnd = Service::start("turnd", address, &config);
    for transport in [Transport::Tls, Transport::Dtls] {
        for direction in DIRECTIONS {
            play(&turnd, &scenario(transport, direction));
        }
        play(
            &turnd,
            &Scenario {
                operation: Operation::Send,
                burst: 4,
                ..scenario(transport, Direction::Both)
            },
        );
        play(
            &turnd,
            &Scenario { operation: Operation::Allocate, ..scenario(transport, Direction::ToPeer) },
        );
    }
}

#[test]
fn an_open_loop_sends_what_it_is_told_to() {
    let turnd = turnd();
    let before = Process::new(turnd.pid()).spent().unwrap();
    let paced = Scenario { pace: Pace::Rate(2_000), ..scenario(Transport::Udp, Direction::Both) };
    let measured = play(&turnd, &paced);
    // 40 ms, and the first one; a busy machine sends fewer.
    assert!(measured.sent <= 81, "{measured:?}");
    assert!(Process::new(turnd.pid()).spent().unwrap() > before);
    assert!(Process::new(turnd.pid()).memory().unwrap().resident > 0);
}

#[test]
fn several_runs_of_one_fleet_are_counted_apart() {
    let turnd = turnd();
    let mut fleet =
        Fleet::new(&scenario(Transport::Udp, Direction::Both), &target(turnd.address)).unwrap();
    for _ in 0..3 {
        let measured = fleet.run(SLICE).unwrap();
        assert_eq!((measured.delivered, measured.lost()), (measured.sent, 0), "{measured:?}");
    }
}

#[test]
fn credentials_that_are_wrong_are_an_error() {
    let turnd = turnd();
    let wrong = Target {
        access: Access::Turn { username: USER.into(), password: "not this".into() },
        ..target(turnd.address)
    };
    assert!(Fleet::new(&scenario(Transport::Udp, Direction::ToPeer), &wrong).is_err());
}
