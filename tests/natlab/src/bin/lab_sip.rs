//! A small SIP registrar and stateless proxy over UDP (RFC 3261), `lab-sip ADDRESS`. A
//! registered telephone is reached at the source address of its request (RFC 3581); bodies of
//! messages are neither read nor changed.

#![allow(clippy::print_stdout, clippy::print_stderr)] // what drives it reads to the end

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<SocketAddr> =
        std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let [address] = arguments.as_slice() else {
        eprintln!("lab-sip ADDRESS:PORT");
        return ExitCode::from(2);
    };
    match serve(*address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("failed {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(address: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind(address)?;
    println!("listening on {address}");
    let mut proxy = Proxy { own: address, bindings: Vec::new() };
    let mut buffer = [0; 65_536];
    loop {
        let (length, from) = socket.recv_from(&mut buffer)?;
        let Some(message) = std::str::from_utf8(&buffer[..length]).ok().and_then(Message::parse)
        else {
            continue;
        };
        println!("{from} {}", message.start);
        if let Some((to, answer)) = proxy.take(message, from) {
            println!("-> {to} {}", answer.start);
            // One that cannot be reached will not answer; the sender repeats itself.
            let _ = socket.send_to(answer.to_string().as_bytes(), to);
        }
    }
}

/// A request or a response: its first line, its headers in order, its body.
struct Message {
    start: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Message {
    fn parse(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let start = lines.next()?.to_owned();
        let headers = lines.map(|line| {
            line.split_once(':')
                .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        });
        Some(Self { start, headers: headers.collect::<Option<_>>()?, body: body.to_owned() })
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.headers.iter().position(|(header, _)| header.eq_ignore_ascii_case(name))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.position(name).map(|at| self.headers[at].1.as_str())
    }

    /// The method and the URI of a request.
    fn request(&self) -> Option<(&str, &str)> {
        let mut words = self.start.split(' ');
        let request = (words.next()?, words.next()?);
        (words.next() == Some("SIP/2.0")).then_some(request)
    }

    /// A response to this request, with what RFC 3261 §8.2.6 has copied.
    fn response(&self, status: &str) -> Self {
        let copied = ["via", "from", "to", "call-id", "cseq"];
        let mut headers: Vec<_> = self
            .headers
            .iter()
            .filter(|(name, _)| copied.contains(&name.to_ascii_lowercase().as_str()))
            .cloned()
            .collect();
        for (_, value) in headers
            .iter_mut()
            .filter(|(name, value)| name.eq_ignore_ascii_case("to") && !value.contains(";tag="))
        {
            value.push_str(";tag=registrar");
        }
        Self { start: format!("SIP/2.0 {status}"), headers, body: String::new() }
    }
}

impl std::fmt::Display for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\r\n", self.start)?;
        for (name, value) in
            self.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-length"))
        {
            write!(f, "{name}: {value}\r\n")?;
        }
        write!(f, "Content-Length: {}\r\n\r\n{}", self.body.len(), self.body)
    }
}

/// A registration: the user of the address of record, the contact, and the source of its requests.
struct Binding {
    user: String,
    contact: String,
    flow: SocketAddr,
}

struct Proxy {
    own: SocketAddr,
    bindings: Vec<Binding>,
}

impl Proxy {
    /// Routes a message: returns the message to send and its destination, or `None` to drop it.
    fn take(&mut self, mut message: Message, from: SocketAddr) -> Option<(SocketAddr, Message)> {
        if message.request().is_none() {
            return self.response(message);
        }
        // RFC 3581 §4: the sender learns, and we keep, where it really is.
        let via = message.position("via")?;
        let value = &mut message.headers[via].1;
        *value =
            format!("{};received={};rport={}", value.replace(";rport", ""), from.ip(), from.port());
        match message.request() {
            Some(("REGISTER", _)) => Some((from, self.register(&message, from)?)),
            _ => self.request(message, from),
        }
    }

    fn register(&mut self, message: &Message, flow: SocketAddr) -> Option<Message> {
        let user = user(uri(message.header("to")?)).to_owned();
        let contact = uri(message.header("contact")?).to_owned();
        let mut response = message.response("200 OK");
        response.headers.push(("Contact".to_owned(), format!("<{contact}>;expires=60")));
        self.bindings.retain(|binding| binding.user != user);
        self.bindings.push(Binding { user, contact, flow });
        Some(response)
    }

    /// Forwards a request (RFC 3261 §16.6), without keeping anything of it (§16.11).
    fn request(&self, mut message: Message, from: SocketAddr) -> Option<(SocketAddr, Message)> {
        let (method, target) = message.request()?;
        let (method, target) = (method.to_owned(), target.to_owned());
        let hops: u32 = message.header("max-forwards").map_or(Ok(70), str::parse).ok()?;
        if hops == 0 {
            return Some((from, message.response("483 Too Many Hops")));
        }
        // A request of a dialog names the contact, another one the user that has registered it.
        let by_contact = self.bindings.iter().find(|binding| same(&binding.contact, &target));
        let Some(binding) = by_contact
            .or_else(|| self.bindings.iter().find(|binding| binding.user == user(&target)))
        else {
            return (method != "ACK").then(|| (from, message.response("404 Not Found")));
        };
        message.start = format!("{method} {} SIP/2.0", binding.contact);
        message.headers.retain(|(name, value)| {
            !(name.eq_ignore_ascii_case("route") && value.contains(&self.own.to_string()))
        });
        message.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("max-forwards"));
        // The same for a repeated request, and for the ACK and CANCEL of one.
        let mut branch = DefaultHasher::new();
        message.header("via")?.split(";branch=").nth(1)?.split(';').next()?.hash(&mut branch);
        let via = format!("SIP/2.0/UDP {};branch=z9hG4bK{:016x}", self.own, branch.finish());
        message.headers.insert(0, ("Max-Forwards".to_owned(), (hops - 1).to_string()));
        if method == "INVITE" {
            message
                .headers
                .insert(0, ("Record-Route".to_owned(), format!("<sip:{};lr>", self.own)));
        }
        message.headers.insert(0, ("Via".to_owned(), via));
        Some((binding.flow, message))
    }

    /// Sends a response to where its request came from: the next Via says so.
    fn response(&self, mut message: Message) -> Option<(SocketAddr, Message)> {
        let ours = message.position("via")?;
        if !message.headers[ours].1.contains(&self.own.to_string()) {
            return None;
        }
        message.headers.remove(ours);
        let next = message.header("via")?;
        let parameter = |name: &str| {
            next.split(';').find_map(|parameter| parameter.strip_prefix(name)?.strip_prefix('='))
        };
        let to = SocketAddr::new(
            parameter("received")?.parse().ok()?,
            parameter("rport")?.parse().ok()?,
        );
        Some((to, message))
    }
}

/// The URI between angle brackets, or all before the first parameter.
fn uri(value: &str) -> &str {
    match value.split_once('<').and_then(|(_, rest)| rest.split_once('>')) {
        Some((uri, _)) => uri,
        None => value.split(';').next().unwrap_or(value),
    }
}

/// The user of a `sip:` URI.
fn user(uri: &str) -> &str {
    uri.strip_prefix("sip:").unwrap_or(uri).split(['@', ';']).next().unwrap_or_default()
}

/// Whether two URIs name the same user at the same host, whatever their parameters.
fn same(a: &str, b: &str) -> bool {
    a.split(';').next() == b.split(';').next()
}
