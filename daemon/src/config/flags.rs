//! The flags that every service has.

use std::path::PathBuf;

use causeway_cli::Unshown;

use super::assignment::Assignment;
use super::setting::Setting;
use crate::admin::AdminListen;
use crate::log::Format;

/// Flags that every service has; flattened into each one's own.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct CommonFlags {
    /// Configuration file (TOML).
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Set any configuration key, such as relay.ports=49152-65535. Repeatable.
    #[arg(long, value_name = "KEY=VALUE", value_parser = Unshown::<Assignment>::new())]
    pub set: Vec<Assignment>,

    /// Check the configuration, describe it and exit: 0 if it is valid, 2 if not.
    #[arg(long)]
    pub check_config: bool,

    /// Print every key with its default and its documentation, and exit.
    #[arg(long)]
    pub print_default_config: bool,

    /// Address of the metrics and health endpoints. Key: admin.listen.
    #[arg(long, value_name = "ADDRESS:PORT|off")]
    pub admin_listen: Option<AdminListen>,

    /// Format of a log line. Key: log.format.
    #[arg(long, value_enum)]
    pub log_format: Option<Format>,

    /// Log level: error, warn, info, debug or trace, or a filter such as "info,turnd=debug". Key:
    /// log.level.
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

impl CommonFlags {
    /// The keys that these flags set.
    pub(super) fn settings(&self) -> impl Iterator<Item = Setting> {
        let table = [
            Setting::text("--admin-listen", "admin.listen", self.admin_listen.as_ref()),
            Setting::text("--log-format", "log.format", self.log_format.as_ref()),
            Setting::text("--log-level", "log.level", self.log_level.as_ref()),
        ];
        table.into_iter().flatten()
    }
}
