//! Running out of descriptors. Alone in its process, whose limit it sets.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use causeway_net::{Listener, StreamListenerOptions};
use support::{Behavior, Event, Worker};

fn set_limit(limit: u64) {
    let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
    // SAFETY: the kernel reads `limit` during the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
}

#[test]
fn a_process_out_of_descriptors_rests_and_accepts_again_later() {
    let (worker, server) = Worker::start(Behavior::Echoes, |io| {
        let listener = Listener::bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let key = io.listen_tcp(listener, StreamListenerOptions::plain(0)).expect("to listen");
        io.listener_addr(key).expect("it is there")
    });
    let mut client = TcpStream::connect(server).unwrap();
    let Event::Accepted(_) = worker.event() else { panic!("a connection") };
    set_limit(64);
    let mut taken: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
    drop(taken.pop());
    let waiting = TcpStream::connect(server).unwrap(); // takes the last one
    std::thread::sleep(Duration::from_millis(500));
    let turns = worker.stats.turns.value();
    assert!(worker.stats.accept_exhausted.value() >= 1);
    assert!(turns < 60, "no busy loop: {turns} turns in half a second");
    client.write_all(&[0, 1, 9]).unwrap();
    client.read_exact(&mut [0; 3]).unwrap();
    let Event::Frame(..) = worker.event() else { panic!("those who are in are served") };
    // A freed descriptor lets the waiting connection in.
    drop(taken);
    let Event::Accepted(stream) = worker.event() else { panic!("the waiting connection") };
    assert_eq!(stream.peer, waiting.local_addr().unwrap());
}
