//! What the server's process takes, as Linux tells it.

use std::fs;

use anyhow::Context as _;

/// A process's memory and processor time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) rss_bytes: u64,
    pub(crate) cpu_seconds: f64,
}

/// Clock ticks of /proc a second, the same on every Linux.
const TICKS_A_SECOND: f64 = 100.0;

/// What `pid` takes now.
pub(crate) fn usage(pid: u32) -> anyhow::Result<Usage> {
    let read = |file: &str| {
        let path = format!("/proc/{pid}/{file}");
        fs::read_to_string(&path).with_context(|| format!("--server-pid: cannot read {path}"))
    };
    let (status, stat) = (read("status")?, read("stat")?);
    let rss_bytes = rss_bytes(&status).context("no VmRSS in /proc/PID/status")?;
    let cpu_seconds = cpu_seconds(&stat).context("no times in /proc/PID/stat")?;
    Ok(Usage { rss_bytes, cpu_seconds })
}

fn rss_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// User and system time are the 12th and 13th field after the name, which is in parentheses and may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (times.next()?.parse().ok()?, times.next()?.parse().ok()?);
    Some((user + system) / TICKS_A_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_proc_are_understood() {
        assert_eq!(rss_bytes("Name:\tx\nVmRSS:\t   2048 kB\nVmData: 1 kB\n"), Some(2 * 1024 * 1024));
        assert_eq!(rss_bytes("Name:\tx\n"), None);
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 10 0 0 0 250 50 0 0 20 0 9 0";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("7 (x) S 1"), None);
    }
}
