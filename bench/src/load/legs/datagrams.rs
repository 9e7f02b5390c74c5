//! One UDP socket for all clients or all peers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result, ensure};
use causeway_net::load_socket::{self, BatchDatagram, BatchOptions, BatchReceiver, BatchSender};

use crate::load::{Scenario, Subnet};

/// Size of the kernel's buffers, so that nothing is lost here.
const KERNEL_BUFFERS: usize = 32 << 20;
/// Maximum length of a request with credentials, and of the headers around data.
const WRAPPING: usize = 640;
/// Maximum length of a UDP datagram over IPv4.
const LONGEST: usize = 65_507;

/// One UDP socket for all clients, or for all peers: each has its own address.
pub(crate) struct Datagrams {
    sender: BatchSender,
    receiver: BatchReceiver,
    subnet: Subnet,
    count: usize,
    port: u16,
}

impl Datagrams {
    pub(crate) fn bind(subnet: Subnet, scenario: &Scenario) -> Result<Self> {
        ensure!(
            scenario.allocations <= subnet.len(),
            "the subnet has {} addresses for {} clients",
            subnet.len(),
            scenario.allocations
        );
        let one = scenario.size + WRAPPING;
        let longest = if scenario.offload { (scenario.burst * one).min(LONGEST) } else { one };
        let options =
            BatchOptions { longest, kernel_buffers: KERNEL_BUFFERS, joined: scenario.offload };
        let (sender, receiver) =
            load_socket::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), &options)
                .context("no UDP socket")?;
        let port = sender.local_addr()?.port();
        Ok(Self { sender, receiver, subnet, count: scenario.allocations, port })
    }

    pub(crate) fn address(&self, number: usize) -> SocketAddr {
        (self.subnet.address(number), self.port).into()
    }

    pub(crate) fn number(&self, address: IpAddr) -> Option<usize> {
        super::number(self.subnet, self.count, address)
    }

    pub(crate) fn push(
        &mut self,
        number: usize,
        to: SocketAddr,
        segment: u16,
        fill: impl FnOnce(&mut [u8]) -> usize,
    ) -> Result<()> {
        if self.sender.is_full() {
            self.flush()?;
        }
        self.sender.push(self.subnet.address(number).into(), to, segment, fill);
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> Result<()> {
        let refused = if self.sender.is_empty() { 0 } else { self.sender.flush()? };
        ensure!(
            refused == 0,
            "the system does not send from {}: is the subnet local? (`ip route add local`)",
            self.subnet.address(0)
        );
        Ok(())
    }

    pub(crate) fn receive(&mut self) -> Result<usize> {
        Ok(self.receiver.receive()?)
    }

    pub(crate) fn datagram(&self, index: usize) -> Option<BatchDatagram<'_>> {
        self.receiver.datagram(index)
    }

    /// Passes each of the `count` received datagrams to `each`: its client, its source and its
    /// bytes. What `each` returns is queued as a reply to the source.
    pub(crate) fn each(
        &mut self,
        count: usize,
        mut each: impl FnMut(usize, SocketAddr, &[u8]) -> bool,
    ) -> Result<()> {
        let Self { sender, receiver, subnet, count: known, .. } = self;
        for index in 0..count {
            let Some(datagram) = receiver.datagram(index) else { continue };
            let Some(number) = super::number(*subnet, *known, datagram.destination) else {
                continue;
            };
            for data in datagram.bytes.chunks(datagram.segment.max(1)) {
                if !each(number, datagram.source, data) {
                    continue;
                }
                if sender.is_full() {
                    sender.flush()?;
                }
                sender.push(datagram.destination, datagram.source, 0, |room| {
                    room[..data.len()].copy_from_slice(data);
                    data.len()
                });
            }
        }
        Ok(())
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}
