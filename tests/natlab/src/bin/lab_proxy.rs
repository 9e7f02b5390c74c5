//! A small HTTP proxy: `lab-proxy LISTEN UPSTREAM` opens tunnels to port 443 by CONNECT (RFC 9110
//! §9.3.6) and hands every other connection to UPSTREAM as it is.

#![allow(clippy::print_stdout, clippy::print_stderr)] // what drives it reads to the end

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(5);
/// The only port that tunnels lead to, as proxies have it.
const TUNNEL_PORT: u16 = 443;
const MAX_HEAD: usize = 8192;

fn main() -> ExitCode {
    let arguments: Vec<SocketAddr> =
        std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let [listen, upstream] = arguments.as_slice() else {
        eprintln!("lab-proxy ADDRESS:PORT ADDRESS:PORT");
        return ExitCode::from(2);
    };
    match serve(*listen, *upstream) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("failed {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(listen: SocketAddr, upstream: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(listen)?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (client, from) = listener.accept()?;
        std::thread::spawn(move || {
            if let Err(error) = connection(client, upstream) {
                println!("ended {from}: {error}");
            }
        });
    }
}

fn connection(mut client: TcpStream, upstream: SocketAddr) -> io::Result<()> {
    let head = head(&mut client)?;
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut words = text.split_whitespace();
    if words.next() != Some("CONNECT") {
        let mut server = TcpStream::connect_timeout(&upstream, TIMEOUT)?;
        server.write_all(&head)?;
        return both_ways(client, server);
    }
    let to = words.next().and_then(|to| to.parse::<SocketAddr>().ok());
    let Some(to) = to.filter(|to| to.port() == TUNNEL_PORT) else {
        println!("refused {}", text.lines().next().unwrap_or_default());
        return client.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    };
    let Ok(server) = TcpStream::connect_timeout(&to, TIMEOUT) else {
        return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
    };
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    println!("opened {to}");
    both_ways(client, server)
}

/// The first request line and header, up to the empty line and not one octet more.
fn head(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut octet = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
        client.read_exact(&mut octet)?;
        head.push(octet[0]);
    }
    Ok(head)
}

fn both_ways(client: TcpStream, server: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (up_from, up_to) = (client.try_clone()?, server.try_clone()?);
    let up = std::thread::spawn(move || one_way(up_from, up_to));
    one_way(server, client);
    // It ends when its end of the connection does, and that was shut.
    let _ = up.join();
    Ok(())
}

/// Until one of them ends, which ends the other.
fn one_way(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
