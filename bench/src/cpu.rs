use std::fs;

use anyhow::{Context, Result};

/// Nanoseconds that all threads of a process have spent on a processor.
pub(crate) fn nanoseconds(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("the server is gone")? {
        let schedstat = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        let running: u64 = schedstat.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0);
        sum += running;
    }
    Ok(sum)
}
