//! By which settings state is folded anew: those it has, or others.

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use receipt_domain::settings::Settings;
use receipt_store::Store;

use super::Site;

/// Other settings of the fold. What is not given stays.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Changes {
    /// Fold with another retention, such as 7d; 0s: for ever.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, conflicts_with = "partition")]
    retention: Option<Duration>,
    /// Fold with another early window. Left out where the retention changes: the stored one, if it fits; where that is
    /// the stored retention's default, the new one's.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, conflicts_with = "partition")]
    early_window: Option<Duration>,
    /// Fold with another limit on a group's members.
    #[arg(long, value_name = "N", conflicts_with = "partition", value_parser = clap::value_parser!(u32).range(1..))]
    max_group_members: Option<u32>,
}

impl Changes {
    /// What comes of stored settings.
    fn of(&self, stored: Settings) -> anyhow::Result<Settings> {
        let retention_ms = self.retention.map_or(stored.retention_ms, ms);
        let early_window_ms = match self.early_window {
            Some(early_window) => ms(early_window),
            None if stored.early_window_ms == default_early_window_ms(stored.retention_ms) => {
                default_early_window_ms(retention_ms)
            }
            None if retention_ms == 0 => stored.early_window_ms,
            None => stored.early_window_ms.min(retention_ms),
        };
        if retention_ms != 0 && early_window_ms > retention_ms {
            bail!("early_window is {early_window_ms} ms: it may be at most the retention, {retention_ms} ms");
        }
        let max_group_members = self.max_group_members.unwrap_or(stored.max_group_members);
        Ok(Settings { retention_ms, early_window_ms, max_group_members })
    }

    pub(crate) fn are_any_given(&self) -> bool {
        self.retention.is_some() || self.early_window.is_some() || self.max_group_members.is_some()
    }

    fn are_all_given(&self) -> bool {
        self.retention.is_some() && self.early_window.is_some() && self.max_group_members.is_some()
    }

    /// What the stores of a data directory are to be folded by.
    pub(crate) fn target(&self, site: &Site) -> anyhow::Result<Settings> {
        if self.are_all_given() {
            return self.of(Settings::default());
        }
        let all = "give --retention, --early-window and --max-group-members as receiptd has them";
        let mut target = None;
        for partition in 0..site.log.partitions() {
            // One that cannot be read is to be rebuilt; another one says the same.
            let Ok(Some(identity)) = Store::identity(&site.live(partition)) else { continue };
            let settings = self.of(identity.settings)?;
            if *target.get_or_insert(settings) != settings {
                bail!("the stores have different settings, as after a rebuild that was interrupted: {all}");
            }
        }
        match target {
            Some(settings) => Ok(settings),
            None => bail!("no store says by which settings it was folded: {all}"),
        }
    }
}

/// As receiptd has it, where nothing is said.
fn default_early_window_ms(retention_ms: u64) -> u64 {
    let default_ms = Settings::default().early_window_ms;
    if retention_ms == 0 { default_ms } else { default_ms.min(retention_ms) }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    fn of(retention_h: Option<u64>, stored_h: (u64, u64)) -> (u64, u64) {
        let retention = retention_h.map(|hours| Duration::from_millis(hours * HOUR_MS));
        let changes = Changes { retention, ..Changes::default() };
        let (retention_ms, early_window_ms) = (stored_h.0 * HOUR_MS, stored_h.1 * HOUR_MS);
        let settings = Settings { retention_ms, early_window_ms, max_group_members: 7 };
        let target = changes.of(settings).unwrap();
        assert_eq!(changes.of(target).unwrap(), target, "the same command again");
        assert_eq!(target.max_group_members, 7);
        (target.retention_ms / HOUR_MS, target.early_window_ms / HOUR_MS)
    }

    #[test]
    fn another_retention_takes_the_default_early_window_with_it() {
        assert_eq!(of(None, (720, 24)), (720, 24));
        assert_eq!(of(Some(2), (720, 24)), (2, 2));
        assert_eq!(of(Some(720), (2, 2)), (720, 24));
        assert_eq!(of(Some(0), (2, 2)), (0, 24));
    }

    #[test]
    fn an_early_window_that_was_set_stays_where_it_fits() {
        assert_eq!(of(Some(48), (720, 5)), (48, 5));
        assert_eq!(of(Some(3), (720, 5)), (3, 3));
        assert_eq!(of(Some(0), (720, 5)), (0, 5));
    }

    #[test]
    fn an_early_window_over_the_retention_is_refused() {
        let changes = Changes { early_window: Some(Duration::from_secs(3600)), ..Changes::default() };
        let stored = Settings { retention_ms: 60_000, ..Settings::default() };
        let error = changes.of(stored).unwrap_err().to_string();
        assert!(error.contains("at most the retention"), "{error}");
    }
}
