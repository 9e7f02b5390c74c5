use std::time::Duration;

use redis::Pipeline;

use super::{BATCH, Redis, keys, millis, restore, unix_millis};
use crate::accounting::{Account, Event};
use crate::change::Change;
use crate::directory::{Comparison, Directory, NodeReport, Restored};
use crate::error::StoreError;
use crate::record::{RecordId, Transport};

impl Directory for Redis {
    async fn restore(&mut self, patience: Duration) -> Restored {
        restore::restore(self, patience).await
    }

    async fn begin_full(&mut self) -> Result<(), StoreError> {
        let ids = self.claim().await?;
        self.comparison = Comparison(ids.into_iter().collect());
        Ok(())
    }

    async fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.comparison.offered(changes);
        self.apply(changes).await
    }

    async fn end_full(&mut self) -> Result<usize, StoreError> {
        let stale: Vec<RecordId> = std::mem::take(&mut self.comparison.0).into_iter().collect();
        for ids in stale.chunks(BATCH) {
            let deletions: Vec<Change> = ids.iter().copied().map(Change::Delete).collect();
            self.apply(&deletions).await?;
        }
        Ok(stale.len())
    }

    async fn heartbeat(&mut self, report: &NodeReport, lifetime: Duration) -> Result<(), StoreError> {
        // The registry's key lies in another slot than the records', so that it cannot be guarded by the same script.
        self.apply(&[]).await?;
        let addresses: Vec<String> = report.addresses.iter().map(|(transport, address)| format!("{transport}={address}")).collect();
        let key = keys::registry(self.node());
        let mut pipeline = Pipeline::new();
        pipeline.atomic().cmd("HSET").arg(&key);
        pipeline.arg("incarnation").arg(self.incarnation.to_string()).arg("state").arg(&report.state);
        pipeline.arg("allocations").arg(report.allocations).arg("capacity").arg(report.capacity);
        pipeline.arg("addresses").arg(addresses.join(" ")).arg("at").arg(unix_millis()).ignore();
        pipeline.cmd("PEXPIRE").arg(&key).arg(millis(lifetime)).ignore();
        let mut connection = self.link.connection()?;
        self.link.call(pipeline.query_async::<()>(&mut connection)).await
    }

    async fn account(&mut self, entries: &[Account]) -> Result<(), StoreError> {
        let mut pipeline = Pipeline::new();
        for entry in entries {
            pipeline.cmd("XADD").arg(keys::ACCOUNTING).arg("MAXLEN").arg("~").arg(self.accounting_entries).arg("*");
            pipeline.arg("node").arg(self.node().as_str());
            put_entry(&mut pipeline, entry);
            pipeline.ignore();
        }
        let mut connection = self.link.connection()?;
        self.link.call(pipeline.query_async::<()>(&mut connection)).await
    }
}

fn put_entry(pipeline: &mut Pipeline, entry: &Account) {
    let event = match entry.event {
        Event::Interim => "interim",
        Event::End => "end",
    };
    let transport = match entry.transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
        Transport::Dtls => "dtls",
    };
    let relayed: Vec<String> = entry.relayed.iter().map(ToString::to_string).collect();
    let traffic = &entry.traffic;
    pipeline.arg("event").arg(event).arg("at").arg(entry.at).arg("record").arg(entry.record.to_string());
    pipeline.arg("user").arg(&entry.username).arg("realm").arg(&entry.realm);
    pipeline.arg("client").arg(entry.client.to_string()).arg("transport").arg(transport).arg("relayed").arg(relayed.join(" "));
    pipeline.arg("packets_to_peer").arg(traffic.packets_to_peer).arg("bytes_to_peer").arg(traffic.bytes_to_peer);
    pipeline.arg("packets_to_client").arg(traffic.packets_to_client).arg("bytes_to_client").arg(traffic.bytes_to_client);
    pipeline.arg("duration_ms").arg(millis(entry.duration)).arg("reason").arg(entry.reason);
}
