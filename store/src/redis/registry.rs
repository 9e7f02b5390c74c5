//! What a node says of itself to the fleet.

use std::time::Duration;

use redis::{Pipeline, Script};

use super::{Redis, keys, millis, unix_millis};
use crate::directory::NodeReport;
use crate::error::StoreError;

/// Removes the node's key if it is still this process's own.
///
/// KEYS: registry. ARGV: incarnation.
const UNREGISTER: &str = r"
if redis.call('HMGET', KEYS[1], 'incarnation')[1] == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
";

impl Redis {
    pub(super) async fn register(&mut self, report: &NodeReport, lifetime: Duration) -> Result<(), StoreError> {
        let addresses: Vec<String> = report.addresses.iter().map(|(transport, address)| format!("{transport}={address}")).collect();
        let key = keys::registry(self.node());
        let mut pipeline = Pipeline::new();
        pipeline.atomic().cmd("HSET").arg(&key);
        pipeline.arg("incarnation").arg(self.incarnation.to_string()).arg("state").arg(&report.state);
        pipeline.arg("allocations").arg(report.allocations).arg("capacity").arg(report.capacity);
        pipeline.arg("addresses").arg(addresses.join(" ")).arg("tls_name").arg(&report.tls_name).arg("at").arg(unix_millis()).ignore();
        pipeline.cmd("PEXPIRE").arg(&key).arg(millis(lifetime)).ignore();
        let mut connection = self.link.connection()?;
        self.link.call(pipeline.query_async::<()>(&mut connection)).await
    }

    pub(super) async fn unregister(&mut self) -> Result<(), StoreError> {
        let script = Script::new(UNREGISTER);
        let mut leave = script.prepare_invoke();
        leave.key(keys::registry(self.node())).arg(self.incarnation.to_string());
        let mut connection = self.link.connection()?;
        self.link.ask(leave.invoke_async::<()>(&mut connection)).await
    }
}
