//! The smallest programs that show what a NAT does: run inside a namespace of the lab, driven line
//! by line.
//!
//! `lab-probe udp ADDRESS` binds a socket, sends `TEXT` to `ADDRESS` for each line `send ADDRESS
//! TEXT` it reads, and writes `received ADDRESS TEXT` for each datagram, until its input ends.
//! `lab-probe tcp-listen ADDRESS` tells each connection the address it came from. `lab-probe
//! tcp-connect ADDRESS` writes what it was told. `lab-probe metrics ADDRESS` writes what a service
//! answers when it is asked for its metrics.

#![allow(clippy::print_stdout, clippy::print_stderr)] // what drives it reads to the end

use std::io::{self, BufRead, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, address] = arguments.as_slice() else { return usage() };
    let Ok(address) = address.parse::<SocketAddr>() else { return usage() };
    let result = match mode.as_str() {
        "udp" => udp(address),
        "tcp-listen" => tcp_listen(address),
        "tcp-connect" => tcp_connect(address),
        "metrics" => metrics(address),
        _ => return usage(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("failed {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("lab-probe udp|tcp-listen|tcp-connect|metrics ADDRESS:PORT");
    ExitCode::from(2)
}

fn udp(address: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind(address)?;
    println!("bound {}", socket.local_addr()?);
    let receiver = socket.try_clone()?;
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        loop {
            match receiver.recv_from(&mut buffer) {
                Ok((length, from)) => {
                    println!("received {from} {}", String::from_utf8_lossy(&buffer[..length]));
                }
                // An ICMP error for an earlier datagram is news about the network, not about this
                // socket.
                Err(error) => println!("receive-error {error}"),
            }
        }
    });
    for line in io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.splitn(3, ' ');
        match (words.next(), words.next().map(str::parse::<SocketAddr>), words.next()) {
            (Some("send"), Some(Ok(to)), Some(text)) => {
                if let Err(error) = socket.send_to(text.as_bytes(), to) {
                    println!("send-error {to} {error}");
                }
            }
            _ => println!("not understood: {line}"),
        }
    }
    Ok(())
}

fn tcp_listen(address: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    println!("bound {}", listener.local_addr()?);
    loop {
        let (mut stream, from) = listener.accept()?;
        // A client that is gone again is no reason to end.
        let _ = write!(stream, "{from}").and_then(|()| stream.shutdown(Shutdown::Write));
        println!("accepted {from}");
    }
}

fn tcp_connect(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut seen_as = String::new();
    stream.read_to_string(&mut seen_as)?;
    println!("seen-as {seen_as}");
    Ok(())
}

fn metrics(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => {
            io::stdout().write_all(body.as_bytes())
        }
        _ => Err(io::Error::other(answer)),
    }
}
