//! Established sessions: frames in records, slow readers, and the end of a session.

use std::io::{Read, Write};

use causeway_net::secure::HandshakeLimits;
use causeway_net::{MAX_QUEUE, StreamEnd, Unsent};
use rustls::version::{TLS12, TLS13};

use crate::authority::{Authority, Kind};
use crate::server::{Server, offer};
use crate::support::{Behavior, Event};
use crate::tls_client::{config, connect, dial, echo};

#[test]
fn frames_survive_every_way_of_splitting_them_into_records() {
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let server = Server::echoing(&authority);
    let frames: Vec<_> = [0u16, 1, 17, 1_000, 60_000, 2]
        .iter()
        .map(|len| [&len.to_be_bytes()[..], &vec![*len as u8; usize::from(*len)]].concat())
        .collect();
    let all = frames.concat();
    for version in [&TLS12, &TLS13] {
        let mut client = connect(server.address, &config(&authority, version, &[]));
        for record in [1, 3, 700, 16_384, all.len()] {
            // Single bytes of the whole would be sixty thousand records; the beginning has all the
            // headers but two.
            let (front, rest) = all.split_at(if record == 1 { 1_100 } else { all.len() });
            for part in front.chunks(record).chain([rest]) {
                client.write_all(part).unwrap();
                client.flush().unwrap();
            }
            let mut back = vec![0; all.len()];
            client.read_exact(&mut back).unwrap();
            assert!(back == all, "what comes back is whole and in order");
        }
    }
}

#[test]
fn plain_and_secure_connections_share_a_port() {
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let server = Server::echoing(&authority);
    let mut secure = connect(server.address, &config(&authority, &TLS13, &[]));
    let mut plain = dial(server.address);
    for round in 0..20 {
        echo(&mut secure, &vec![round; 500]);
        echo(&mut plain, &vec![round; 700]);
    }
    assert_eq!(server.reading("handshakes_started", None), 1);
}

#[test]
fn a_slow_reader_loses_whole_frames_and_its_session_stays_whole() {
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let server =
        Server::start(Behavior::Reports, true, offer(&[&authority]), HandshakeLimits::default());
    let mut client = connect(server.address, &config(&authority, &TLS13, &[]));
    let Event::Accepted(_) = server.worker.event() else { panic!("a connection") };
    let Event::Secured(stream) = server.worker.event() else { panic!("TLS") };
    let mut sent: Vec<u32> = Vec::new();
    let mut number = 0u32;
    let mut lost = 0;
    while lost < 100 {
        let outcomes = server.worker.with_io(move |io| {
            let queue = io.stream_queue_len(stream.key).unwrap();
            assert!(queue <= MAX_QUEUE);
            let frames = (0..50).map(|index| {
                let frame = [
                    &2_000u16.to_be_bytes()[..],
                    &(number + index).to_be_bytes(),
                    &[index as u8; 1_996],
                ]
                .concat();
                io.reply_buffer()[..frame.len()].copy_from_slice(&frame);
                io.reply_frame(stream.key, frame.len())
            });
            frames.collect::<Vec<_>>()
        });
        for outcome in outcomes {
            match outcome {
                Ok(()) => sent.push(number),
                Err(error) => {
                    assert_eq!(error, Unsent::QueueFull);
                    lost += 1;
                }
            }
            number += 1;
        }
    }
    for expected in sent {
        let mut frame = [0; 2_002];
        client.read_exact(&mut frame).unwrap();
        assert_eq!(frame[..6], [&2_000u16.to_be_bytes()[..], &expected.to_be_bytes()].concat());
    }
    server.worker.settle();
    assert_eq!(server.worker.stats.dropped_stream_queue_full.value(), lost);
    assert_eq!(server.worker.with_io(move |io| io.stream_queue_len(stream.key)), Some(0));
}

#[test]
fn a_frame_is_a_record_as_clients_that_read_one_record_at_a_time_expect() {
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let server =
        Server::start(Behavior::Reports, true, offer(&[&authority]), HandshakeLimits::default());
    let mut client = connect(server.address, &config(&authority, &TLS13, &[]));
    let Event::Accepted(_) = server.worker.event() else { panic!("a connection") };
    let Event::Secured(stream) = server.worker.event() else { panic!("TLS") };
    server.worker.settle();
    let before = server.worker.stats.streams_sent_bytes.value();
    server.worker.with_io(move |io| {
        for _ in 0..100 {
            io.reply_buffer()[..102]
                .copy_from_slice(&[&100u16.to_be_bytes()[..], &[5; 100]].concat());
            io.reply_frame(stream.key, 102).unwrap();
        }
    });
    client.read_exact(&mut vec![0; 10_200]).unwrap();
    server.worker.settle();
    let overhead = server.worker.stats.streams_sent_bytes.value() - before - 10_200;
    assert_eq!(overhead, 100 * (5 + 1 + 16), "a hundred headers, types and tags");
}

#[test]
fn a_stream_that_the_service_closes_delivers_what_was_queued_and_sends_close_notify() {
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let server =
        Server::start(Behavior::Reports, true, offer(&[&authority]), HandshakeLimits::default());
    let mut client = connect(server.address, &config(&authority, &TLS12, &[]));
    let Event::Accepted(_) = server.worker.event() else { panic!("a connection") };
    let Event::Secured(stream) = server.worker.event() else { panic!("TLS") };
    server.worker.with_io(move |io| {
        for _ in 0..3 {
            io.reply_buffer()[..2].copy_from_slice(&60_000u16.to_be_bytes());
            io.reply_frame(stream.key, 60_002).unwrap();
        }
        io.close_stream(stream.key);
    });
    let mut all = Vec::new();
    client
        .read_to_end(&mut all)
        .expect("an orderly end: without close_notify it would be an error");
    assert_eq!(all.len(), 3 * 60_002);
    server.worker.assert_quiet();
    server.await_no_stream();
}

#[test]
fn a_record_that_was_changed_ends_the_session_with_an_alert() {
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let server =
        Server::start(Behavior::Reports, true, offer(&[&authority]), HandshakeLimits::default());
    let mut client = connect(server.address, &config(&authority, &TLS13, &[]));
    let Event::Accepted(_) = server.worker.event() else { panic!("a connection") };
    let Event::Secured(_) = server.worker.event() else { panic!("TLS") };
    client.sock.write_all(&[0x17, 3, 3, 0, 32]).unwrap();
    client.sock.write_all(&[7; 32]).unwrap();
    let error = client.read(&mut [0; 8]).unwrap_err();
    let alert = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    assert_eq!(alert, Some(&rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac)));
    let Event::Closed(_, StreamEnd::Malformed) = server.worker.event() else { panic!("an end") };
}
