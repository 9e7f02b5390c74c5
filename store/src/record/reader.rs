//! Reads the fields of an encoded record.

use std::net::{IpAddr, SocketAddr};

use super::RecordError;

/// Reads numbers, addresses and texts from a byte slice. Never reserves memory by a length that it
/// has only read.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

type Result<T> = std::result::Result<T, RecordError>;

impl<'a> Reader<'a> {
    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(RecordError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.bytes(N)?.try_into().expect("`bytes` returns the requested length"))
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// Reads a family, 4 or 6, and the address. An IPv4-mapped address becomes an IPv4 address
    /// (H54).
    pub(super) fn ip(&mut self) -> Result<IpAddr> {
        match self.u8()? {
            4 => Ok(IpAddr::from(self.array::<4>()?)),
            6 => Ok(IpAddr::from(self.array::<16>()?).to_canonical()),
            _ => Err(RecordError::Malformed),
        }
    }

    /// Reads an address and a port.
    pub(super) fn socket(&mut self) -> Result<SocketAddr> {
        Ok(SocketAddr::new(self.ip()?, self.u16()?))
    }

    /// Reads a length in two bytes, and as many bytes of UTF-8.
    pub(super) fn text(&mut self) -> Result<&'a str> {
        let len = self.u16()?;
        std::str::from_utf8(self.bytes(len.into())?).map_err(|_| RecordError::Malformed)
    }

    /// Reads a count in two bytes, and as many items.
    pub(super) fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut items = Vec::new();
        for _ in 0..self.u16()? {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Fails if bytes are left.
    pub(super) fn end(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(RecordError::Malformed) }
    }
}
