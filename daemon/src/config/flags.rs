//! The flags that every service has.

use std::path::PathBuf;

use causeway_cli::Unshown;

use super::assignment::Assignment;
use super::load::Setting;
use crate::admin::AdminListen;
use crate::log::Format;

/// Flags common to the services; flattened into each one's own.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct CommonFlags {
    /// The configuration file (TOML).
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Sets any key of the configuration, such as relay.ports=49152-65535; repeatable.
    #[arg(long, value_name = "KEY=VALUE", value_parser = Unshown::<Assignment>::new())]
    pub set: Vec<Assignment>,

    /// Checks the configuration, says what it means and exits: 0 if it is good, 2 if not.
    #[arg(long)]
    pub check_config: bool,

    /// Prints every key with its default and what it is for, and exits.
    #[arg(long)]
    pub print_default_config: bool,

    /// Where metrics and health are answered: admin.listen.
    #[arg(long, value_name = "ADDRESS:PORT|off")]
    pub admin_listen: Option<AdminListen>,

    /// How a log line looks: log.format.
    #[arg(long, value_enum)]
    pub log_format: Option<Format>,

    /// What is logged: error, warn, info, debug, trace, or a filter such as "info,turnd=debug":
    /// log.level.
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

impl CommonFlags {
    /// The keys that these flags set.
    pub(super) fn settings(&self) -> Vec<Setting> {
        let mut settings = Vec::new();
        if let Some(address) = self.admin_listen {
            settings.push(Setting::text(
                "--admin-listen",
                &["admin", "listen"],
                address.to_string(),
            ));
        }
        if let Some(format) = self.log_format {
            settings.push(Setting::text("--log-format", &["log", "format"], format.to_string()));
        }
        if let Some(level) = &self.log_level {
            settings.push(Setting::text("--log-level", &["log", "level"], level.clone()));
        }
        settings
    }
}
