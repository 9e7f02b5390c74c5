//! The node's entry in the fleet's registry.

use std::time::Duration;

use super::{Redis, keys, millis, unix_millis};
use crate::directory::NodeReport;
use crate::error::StoreError;

impl Redis {
    pub(super) async fn report(
        &mut self,
        report: &NodeReport,
        lifetime: Duration,
    ) -> Result<(), StoreError> {
        let addresses: Vec<String> = report
            .addresses
            .iter()
            .map(|(transport, address)| format!("{transport}={address}"))
            .collect();
        let fields = [
            ("state", report.state.clone()),
            ("allocations", report.allocations.to_string()),
            ("capacity", report.capacity.to_string()),
            ("addresses", addresses.join(" ")),
            ("tls_name", report.tls_name.clone()),
        ];
        self.register(&fields, lifetime).await
    }

    /// Writes fields of the node's entry, which also shows that this process is alive.
    pub(super) async fn register(
        &mut self,
        fields: &[(&str, String)],
        lifetime: Duration,
    ) -> Result<(), StoreError> {
        let mut connection = self.link.connection()?;
        let mut script = self.scripts.report.prepare_invoke();
        script.key(keys::registry(self.node())).arg(millis(lifetime));
        script.arg("incarnation").arg(self.incarnation.to_string()).arg("at").arg(unix_millis());
        for (field, value) in fields {
            script.arg(*field).arg(value);
        }
        self.link.call(script.invoke_async::<()>(&mut connection)).await
    }

    /// Removes the entry if it still belongs to this process.
    pub(super) async fn unregister(&mut self) -> Result<(), StoreError> {
        let mut connection = self.link.connection()?;
        let mut script = self.scripts.leave.prepare_invoke();
        script.key(keys::registry(self.node())).arg(self.incarnation.to_string());
        self.link.ask(script.invoke_async::<()>(&mut connection)).await
    }
}
