//! The plain text of a sealed record: numbers in network byte order, lengths and counts before the
//! items. `docs/store.md` has the table.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use zeroize::Zeroizing;

use super::reader::Reader;
use super::{
    ChannelRecord, Credential, FiveTuple, KeyAlgorithm, LongTermKey, PermissionRecord, Record,
    RecordError, RecordId,
};
use super::{RelayedAddress, Traffic, Transport};

/// Maximum length of a list or text. Further items of a list are left out; no text of the protocol
/// is as long.
const MAX_COUNT: usize = u16::MAX as usize;

pub(super) fn encode(record: &Record) -> Zeroizing<Vec<u8>> {
    // Reserved at once: a vector that grows leaves copies of the key behind.
    let mut out = Zeroizing::new(Vec::with_capacity(size_hint(record)));
    let tuple = &record.five_tuple;
    out.push(tuple.transport as u8);
    put_socket(&mut out, tuple.client);
    put_socket(&mut out, tuple.server);
    put_credential(&mut out, &record.credential);
    out.extend(record.transaction);
    out.extend(u32::try_from(record.lifetime.as_secs()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(record.created_at.to_be_bytes());
    out.extend(record.expires_at.to_be_bytes());
    put_list(&mut out, &record.relayed, |out, relayed| {
        put_socket(out, relayed.bound);
        put_socket(out, relayed.advertised);
    });
    put_list(&mut out, &record.permissions, |out, permission| {
        put_ip(out, permission.peer);
        out.extend(permission.expires_at.to_be_bytes());
    });
    put_list(&mut out, &record.channels, |out, channel| {
        out.extend(channel.number.to_be_bytes());
        put_socket(out, channel.peer);
        out.extend(channel.expires_at.to_be_bytes());
    });
    let traffic = &record.traffic;
    for counter in [
        traffic.packets_to_peer,
        traffic.bytes_to_peer,
        traffic.packets_to_client,
        traffic.bytes_to_client,
    ] {
        out.extend(counter.to_be_bytes());
    }
    if version(record) >= 2 {
        put_since_2(&mut out, record);
    }
    out
}

fn put_since_2(out: &mut Vec<u8>, record: &Record) {
    match record.proxy {
        None => out.push(0),
        Some(proxy) => {
            out.push(1);
            put_socket(out, proxy);
        }
    }
    for relayed in &record.relayed {
        out.extend(relayed.expires_at.to_be_bytes());
    }
}

/// The lowest version that can express the record, so that older releases can read it if possible.
pub(super) fn version(record: &Record) -> u8 {
    let ends_at_once = record.relayed.iter().all(|relayed| relayed.expires_at == record.expires_at);
    if record.proxy.is_none() && ends_at_once { 1 } else { 2 }
}

/// Decodes the text of one of the versions that [`version`] returns.
pub(super) fn decode(id: RecordId, version: u8, bytes: &[u8]) -> Result<Record, RecordError> {
    let mut reader = Reader(bytes);
    let transport = transport(reader.u8()?)?;
    let five_tuple = FiveTuple { transport, client: reader.socket()?, server: reader.socket()? };
    let mut record = Record {
        id,
        five_tuple,
        credential: credential(&mut reader)?,
        transaction: reader.array()?,
        lifetime: Duration::from_secs(reader.u32()?.into()),
        created_at: reader.u64()?,
        expires_at: reader.u64()?,
        relayed: reader.list(|reader| {
            Ok(RelayedAddress {
                bound: reader.socket()?,
                advertised: reader.socket()?,
                expires_at: 0,
            })
        })?,
        permissions: reader.list(|reader| {
            Ok(PermissionRecord { peer: reader.ip()?, expires_at: reader.u64()? })
        })?,
        channels: reader.list(|reader| {
            Ok(ChannelRecord {
                number: reader.u16()?,
                peer: reader.socket()?,
                expires_at: reader.u64()?,
            })
        })?,
        traffic: Traffic {
            packets_to_peer: reader.u64()?,
            bytes_to_peer: reader.u64()?,
            packets_to_client: reader.u64()?,
            bytes_to_client: reader.u64()?,
        },
        proxy: None,
    };
    if version >= 2 {
        record.proxy = optional(&mut reader, Reader::socket)?;
    }
    for relayed in &mut record.relayed {
        relayed.expires_at = if version >= 2 { reader.u64()? } else { record.expires_at };
    }
    reader.end()?;
    if !(1..=2).contains(&record.relayed.len()) {
        return Err(RecordError::Malformed);
    }
    Ok(record)
}

/// An upper bound of the encoded length of the record, in bytes.
fn size_hint(record: &Record) -> usize {
    256 + record.credential.username.len()
        + 32 * record.permissions.len()
        + 32 * record.channels.len()
}

fn put_ip(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => {
            out.push(4);
            out.extend(ip.octets());
        }
        IpAddr::V6(ip) => {
            out.push(6);
            out.extend(ip.octets());
        }
    }
}

fn put_socket(out: &mut Vec<u8>, address: SocketAddr) {
    put_ip(out, address.ip());
    out.extend(address.port().to_be_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    let text = &text[..text.floor_char_boundary(MAX_COUNT)];
    out.extend((text.len() as u16).to_be_bytes());
    out.extend(text.as_bytes());
}

fn put_list<T>(out: &mut Vec<u8>, items: &[T], put: impl Fn(&mut Vec<u8>, &T)) {
    let items = &items[..items.len().min(MAX_COUNT)];
    out.extend((items.len() as u16).to_be_bytes());
    items.iter().for_each(|item| put(out, item));
}

fn put_credential(out: &mut Vec<u8>, credential: &Credential) {
    put_text(out, &credential.username);
    for bound in [credential.quota_name.start, credential.quota_name.end] {
        out.extend((bound.min(MAX_COUNT) as u16).to_be_bytes());
    }
    out.push(credential.key.algorithm() as u8);
    out.extend(credential.key.as_bytes());
    match credential.expires {
        None => out.push(0),
        Some(expires) => {
            out.push(1);
            out.extend(expires.to_be_bytes());
        }
    }
}

fn credential(reader: &mut Reader<'_>) -> Result<Credential, RecordError> {
    let username = reader.text()?.to_owned();
    let quota_name = usize::from(reader.u16()?)..usize::from(reader.u16()?);
    if username.get(quota_name.clone()).is_none() {
        return Err(RecordError::Malformed);
    }
    let algorithm = KeyAlgorithm::from_number(reader.u8()?).ok_or(RecordError::Malformed)?;
    let key = LongTermKey::new(algorithm, reader.bytes(algorithm.key_len())?)
        .ok_or(RecordError::Malformed)?;
    let expires = optional(reader, Reader::u64)?;
    Ok(Credential { username, quota_name, key, expires })
}

/// An optional value: a byte that is 0 or 1, and the value after a 1.
fn optional<'a, T>(
    reader: &mut Reader<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, RecordError>,
) -> Result<Option<T>, RecordError> {
    match reader.u8()? {
        0 => Ok(None),
        1 => read(reader).map(Some),
        _ => Err(RecordError::Malformed),
    }
}

fn transport(number: u8) -> Result<Transport, RecordError> {
    match number {
        1 => Ok(Transport::Udp),
        2 => Ok(Transport::Tcp),
        3 => Ok(Transport::Tls),
        4 => Ok(Transport::Dtls),
        _ => Err(RecordError::Malformed),
    }
}
