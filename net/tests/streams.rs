//! Streams through the loop: frames, bounds, endings.

#![allow(clippy::unwrap_used)] // what a test calls fails as the test would

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use causeway_net::{Io, Listener, MAX_QUEUE, StreamEnd, StreamListenerOptions, Unsent};
use support::{Behavior, Event, Worker};

over_each_backend!(
    frames_survive_every_way_of_splitting_them,
    a_slow_reader_loses_whole_frames_beyond_the_bound_and_keeps_the_rest,
    what_the_kernel_does_not_take_at_once_is_written_when_it_does,
    a_peer_that_closed_its_side_still_reads_what_it_asked_for,
    a_reset_ends_one_stream_and_no_other,
    bytes_that_are_no_frame_end_the_stream,
    a_refused_connection_is_reset_at_once,
    a_stream_that_the_service_closes_delivers_what_was_queued,
    a_datagram_and_a_stream_meet_in_one_batch,
    frames_of_one_read_leave_as_datagrams_with_a_longer_header_and_disturb_each_other_not,
);

fn listen(io: &mut Io) -> SocketAddr {
    let listener = Listener::bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let key = io.listen_tcp(listener, StreamListenerOptions::plain(4)).expect("to be watched");
    io.listener_addr(key).expect("it is there")
}

fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).expect("the listener accepts");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket");
    stream.set_nodelay(true).expect("a socket");
    stream
}

fn frame(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u16).to_be_bytes(), content].concat()
}

fn frames_survive_every_way_of_splitting_them() {
    let (worker, server) = Worker::start(Behavior::Echoes, listen);
    let mut client = connect(server);
    let frames: Vec<_> =
        [0, 1, 17, 1_000, 60_000, 2].iter().map(|len| frame(&vec![*len as u8; *len])).collect();
    let all = frames.concat();
    let Event::Accepted(accepted) = worker.event() else { panic!("a connection") };
    assert_eq!(
        (accepted.peer, accepted.local, accepted.tag),
        (client.local_addr().unwrap(), server, 4)
    );
    for chunk in [1, 3, 700, 65_536, all.len()] {
        // Single bytes of the whole would take minutes on a busy machine; the beginning has all the
        // headers but two.
        let whole = if chunk == 1 { &all[..1_100] } else { &all[..] };
        let rest = &all[whole.len()..];
        for part in whole.chunks(chunk) {
            client.write_all(part).unwrap();
        }
        client.write_all(rest).unwrap();
        for expected in &frames {
            let Event::Frame(stream, content) = worker.event() else { panic!("a frame") };
            assert_eq!((stream.key, stream.tag), (accepted.key, 7));
            assert!(content == *expected);
        }
        let mut back = vec![0; all.len()];
        client.read_exact(&mut back).unwrap();
        assert!(back == all, "what comes back is whole and in order");
    }
    worker.assert_quiet();
}

fn a_slow_reader_loses_whole_frames_beyond_the_bound_and_keeps_the_rest() {
    let (worker, server) = Worker::start(Behavior::Reports, listen);
    let mut client = connect(server);
    let Event::Accepted(stream) = worker.event() else { panic!("a connection") };
    let outcomes = worker.with_io(move |io| {
        (0..600u16)
            .map(|number| {
                let mut content = [number as u8; 1_000];
                content[..2].copy_from_slice(&number.to_be_bytes());
                io.reply_buffer()[..1_002].copy_from_slice(&frame(&content));
                io.reply_frame(stream.key, 1_002)
            })
            .collect::<Vec<_>>()
    });
    let queued = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(queued, MAX_QUEUE / 1_002, "up to the bound, then no more");
    assert!(outcomes[queued..].iter().all(|outcome| *outcome == Err(Unsent::QueueFull)));
    for number in 0..queued as u16 {
        let mut content = [0; 1_002];
        client.read_exact(&mut content).unwrap();
        assert_eq!(content[..4], [1_000u16.to_be_bytes(), number.to_be_bytes()].concat());
    }
    assert_eq!(worker.with_io(move |io| io.stream_queue_len(stream.key)), Some(0));
    assert_eq!(worker.stats.dropped_stream_queue_full.value(), 600 - queued as u64);
}

fn what_the_kernel_does_not_take_at_once_is_written_when_it_does() {
    let (worker, server) = Worker::start(Behavior::Echoes, listen);
    let client = connect(server);
    let mut reader = client.try_clone().unwrap();
    let content = vec![5; 50_000];
    let writer = std::thread::spawn({
        let (mut client, whole) = (client, frame(&content));
        move || {
            // Read more slowly than the limit is reached: the replies wait in the kernel's buffers
            // and in the queue.
            for _ in 0..40 {
                client.write_all(&whole).unwrap();
            }
            client
        }
    });
    let _client = writer.join().unwrap();
    let mut received = 0;
    let mut buffer = vec![0; 50_002];
    while reader.set_read_timeout(Some(Duration::from_millis(500))).is_ok()
        && reader.read_exact(&mut buffer).is_ok()
    {
        assert!(buffer == frame(&content), "only whole frames");
        received += 1;
    }
    worker.settle();
    assert_eq!(received + worker.stats.dropped_stream_queue_full.value(), 40);
    assert!(received >= 5);
}

fn a_peer_that_closed_its_side_still_reads_what_it_asked_for() {
    let (worker, server) = Worker::start(Behavior::Echoes, listen);
    let mut client = connect(server);
    let question = frame(&[9; 40_000]);
    client.write_all(&question).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert!(answer == question);
    let ends: Vec<_> =
        std::iter::from_fn(|| worker.events.recv_timeout(Duration::from_millis(100)).ok())
            .filter_map(|event| match event {
                Event::Closed(_, end) => Some(end),
                _ => None,
            })
            .collect();
    assert_eq!(ends, [StreamEnd::PeerClosed]);
    worker.settle();
    assert_eq!(worker.stats.streams_open.value(), 0);
}

fn a_reset_ends_one_stream_and_no_other() {
    let (worker, server) = Worker::start(Behavior::Echoes, listen);
    let mut other = connect(server);
    let client = connect(server);
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    for _ in 0..2 {
        let Event::Accepted(_) = worker.event() else { panic!("a connection") };
    }
    drop(client);
    let Event::Closed(_, StreamEnd::Failed(kind)) = worker.event() else { panic!("a reset") };
    assert_eq!(kind, ErrorKind::ConnectionReset);
    other.write_all(&frame(b"alive")).unwrap();
    other.read_exact(&mut [0; 7]).unwrap();
}

fn bytes_that_are_no_frame_end_the_stream() {
    let (worker, server) = Worker::start(Behavior::Reports, listen);
    let mut client = connect(server);
    client.write_all(&[frame(b"good"), vec![0xff; 100], frame(b"never")].concat()).unwrap();
    let Event::Accepted(_) = worker.event() else { panic!("a connection") };
    let Event::Frame(_, content) = worker.event() else { panic!("a frame") };
    assert_eq!(content, frame(b"good"));
    let Event::Closed(_, StreamEnd::Malformed) = worker.event() else { panic!("an end") };
    worker.assert_quiet();
    assert!(matches!(client.read(&mut [0; 10]), Ok(0) | Err(_)), "closed or reset");
}

fn a_refused_connection_is_reset_at_once() {
    let (worker, server) = Worker::start(Behavior::Refuses, listen);
    let mut client = connect(server);
    assert_eq!(client.read(&mut [0; 10]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    let Event::Accepted(_) = worker.event() else { panic!("asked about") };
    worker.assert_quiet();
    worker.settle();
    assert_eq!((worker.stats.streams_refused.value(), worker.stats.streams_open.value()), (1, 0));
}

fn a_stream_that_the_service_closes_delivers_what_was_queued() {
    let (worker, server) = Worker::start(Behavior::Reports, listen);
    let mut client = connect(server);
    let Event::Accepted(stream) = worker.event() else { panic!("a connection") };
    let late = worker.with_io(move |io| {
        for _ in 0..3 {
            let long = frame(&[1; 60_000]);
            io.reply_buffer()[..long.len()].copy_from_slice(&long);
            io.reply_frame(stream.key, long.len()).expect("room");
        }
        io.close_stream(stream.key);
        io.reply_frame(stream.key, 4)
    });
    assert_eq!(late, Err(Unsent::Gone));
    let mut all = Vec::new();
    client.read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), 3 * 60_002);
    worker.assert_quiet();
}

fn a_datagram_and_a_stream_meet_in_one_batch() {
    let (worker, (server, (key, udp))) =
        Worker::start(Behavior::Reports, |io| (listen(io), support::listen_udp(io, "127.0.0.1:0")));
    let mut client = connect(server);
    let Event::Accepted(stream) = worker.event() else { panic!("a connection") };
    let peer = support::plain_socket("127.0.0.1:0");
    let to = peer.local_addr().unwrap();
    worker.with_io(move |io| {
        io.reply_buffer()[..2].copy_from_slice(&[0, 0]);
        io.reply_frame(stream.key, 2).expect("room");
        io.reply_buffer()[..3].copy_from_slice(b"udp");
        io.reply(
            &causeway_net::Route { socket: key, to, from: None, tos: 0, dont_fragment: false },
            3,
        );
    });
    client.read_exact(&mut [0; 2]).unwrap();
    let mut buffer = [0; 8];
    assert_eq!(peer.recv_from(&mut buffer).unwrap(), (3, udp));
    assert_eq!(&buffer[..3], b"udp");
}

fn frames_of_one_read_leave_as_datagrams_with_a_longer_header_and_disturb_each_other_not() {
    let peer = support::plain_socket("127.0.0.1:0");
    let to = peer.local_addr().unwrap();
    let (_worker, server) = Worker::start_as(|io| {
        let key = support::listen_udp(io, "127.0.0.1:0").0;
        (Behavior::SendsFramesTo(key, to), listen(io))
    });
    let mut client = connect(server);
    let contents: Vec<Vec<u8>> =
        (0..100u8).map(|number| vec![number; usize::from(number)]).collect();
    let all: Vec<u8> = contents.iter().flat_map(|content| frame(content)).collect();
    client.write_all(&all).unwrap();
    let mut buffer = [0; 512];
    for content in contents {
        let len = peer.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..len], [support::LONG_HEADER, &content].concat());
    }
}
