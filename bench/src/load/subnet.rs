//! The addresses of clients and peers.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use anyhow::{Context, Error, Result, ensure};

/// Local addresses (`127.0.0.0/8`, or added with `ip route add local`), one for each client or
/// peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    first: u32,
    count: u32,
}

impl Subnet {
    /// `network`/`length`, the length from 8 to 32.
    ///
    /// # Errors
    /// If the length is out of range.
    pub fn new(network: Ipv4Addr, length: u8) -> Result<Self> {
        ensure!((8..=32).contains(&length), "a subnet from /8 to /32");
        let count = 1 << (32 - u32::from(length));
        Ok(Self { first: u32::from(network) & !(count - 1), count })
    }

    /// The address of the client or peer with this number, from 0. All but the subnet's first and
    /// last address are used (a /31 and a /32: all), and again when there are more numbers.
    #[must_use]
    pub fn address(&self, number: usize) -> Ipv4Addr {
        let (skipped, usable) = if self.count > 2 { (1, self.count - 2) } else { (0, self.count) };
        Ipv4Addr::from(self.first + skipped + (number % usable as usize) as u32)
    }

    /// Number of different addresses.
    #[must_use]
    pub fn len(&self) -> usize {
        if self.count > 2 { self.count as usize - 2 } else { self.count as usize }
    }

    /// Always `false`: a subnet has at least one address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The number of the address, if it is in the subnet.
    #[must_use]
    pub fn number(&self, address: IpAddr) -> Option<usize> {
        let IpAddr::V4(address) = address else { return None };
        let offset =
            u32::from(address).checked_sub(self.first).filter(|offset| *offset < self.count)?;
        let skipped = u32::from(self.count > 2);
        offset
            .checked_sub(skipped)
            .map(|number| number as usize)
            .filter(|number| *number < self.len())
    }
}

impl FromStr for Subnet {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (network, length) = text.split_once('/').context("a subnet as in 127.1.0.0/16")?;
        Self::new(network.parse()?, length.parse()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_their_numbers() {
        let subnet: Subnet = "127.1.7.7/16".parse().unwrap();
        assert_eq!(subnet.address(0), Ipv4Addr::new(127, 1, 0, 1));
        assert_eq!(subnet.address(300), Ipv4Addr::new(127, 1, 1, 45));
        assert_eq!(subnet.number(subnet.address(300).into()), Some(300));
        assert_eq!(subnet.address(subnet.len()), subnet.address(0));
        assert_eq!(subnet.number("127.1.0.0".parse().unwrap()), None);
        assert_eq!(subnet.number("127.1.255.255".parse().unwrap()), None);
        assert_eq!(subnet.number("127.2.0.1".parse().unwrap()), None);
        let one: Subnet = "10.0.0.9/32".parse().unwrap();
        assert_eq!((one.len(), one.address(5)), (1, Ipv4Addr::new(10, 0, 0, 9)));
        assert!("10.0.0.0/33".parse::<Subnet>().is_err());
    }
}
