//! Whether the disk has room for anything new (I9). Intake stops while there is still space, so that what was accepted
//! can be handed out and acknowledged: that takes records too, and is what gives space back.

use journal::disk::Space;

use crate::settings::Settings;
use crate::units::show_size;

/// Without a setting, this part of the disk stays free, or [`MOST_BYTES`] if that is less.
const PART: u64 = 10;
/// The largest reserve of octets that is not set by a person.
const MOST_BYTES: u64 = 1_000_000_000;
/// The largest reserve of inodes that is not set by a person. The store makes a handful of files in an hour.
const MOST_FILES: u64 = 1_000;

/// Free octets below which nothing new is accepted (`limits.disk_reserve`), on a file system of this size.
#[must_use]
pub fn disk_reserve(set: Option<u64>, space: &Space) -> u64 {
    set.unwrap_or_else(|| match space.total_bytes {
        0 => MOST_BYTES,
        total => (total / PART).min(MOST_BYTES),
    })
}

/// Free inodes below which nothing new is accepted (`limits.inode_reserve`); 0 where the file system has no such bound.
#[must_use]
pub fn inode_reserve(set: Option<u64>, space: &Space) -> u64 {
    match space.total_files {
        0 => 0,
        total => set.unwrap_or_else(|| (total / PART).min(MOST_FILES)),
    }
}

/// What is lacking, in words; none if there is room. `next_journal` are the octets that the next journal segment still
/// has to take. While `closed`, more is wanted than before, so that intake does not open and close all the time.
pub(crate) fn lacking(space: &Space, settings: &Settings, next_journal: u64, closed: bool) -> Option<String> {
    let spare = |reserve: u64| {
        if closed {
            reserve.saturating_add(reserve.div_ceil(20))
        } else {
            reserve
        }
    };
    let segments = match closed {
        false => next_journal,
        true => settings.store.journal_segment_bytes + settings.store.spool_segment_bytes,
    };
    let wanted = spare(disk_reserve(settings.disk_reserve, space)).max(segments);
    if space.free_bytes < wanted {
        let (free, wanted) = (show_size(space.free_bytes), show_size(wanted));
        return Some(format!("{free} free, {wanted} wanted (limits.disk_reserve)"));
    }
    let wanted = spare(inode_reserve(settings.inode_reserve, space));
    (space.free_files < wanted).then(|| {
        format!(
            "{} inodes free, {wanted} wanted (limits.inode_reserve)",
            space.free_files
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NODE, mnemonic};

    const GB: u64 = 1_000_000_000;

    fn settings() -> Settings {
        let mut settings = Settings::new("/nowhere".into(), mnemonic(NODE));
        settings.store.journal_segment_bytes = 1000;
        settings.store.spool_segment_bytes = 1000;
        settings
    }

    fn space(total_bytes: u64, free_bytes: u64) -> Space {
        Space {
            free_bytes,
            total_bytes,
            free_files: 50_000,
            total_files: 100_000,
        }
    }

    #[test]
    fn a_tenth_of_the_disk_or_a_gigabyte_stays_free_whichever_is_less() {
        let lacks = |total, free| lacking(&space(total, free), &settings(), 0, false).is_some();
        assert!(lacks(5 * GB, GB / 2 - 1) && !lacks(5 * GB, GB / 2));
        assert!(lacks(500 * GB, GB - 1) && !lacks(500 * GB, GB));
        assert!(lacks(0, GB - 1) && !lacks(0, GB), "the size is not known");
    }

    #[test]
    fn what_a_person_set_holds_whatever_the_size() {
        let settings = Settings {
            disk_reserve: Some(2 * GB),
            inode_reserve: Some(60_000),
            ..settings()
        };
        let lacks = |total, free| lacking(&space(total, free), &settings, 0, false).unwrap_or_default();
        assert!(lacks(5 * GB, 2 * GB - 1).contains("disk_reserve"));
        assert_eq!(
            lacks(5 * GB, 2 * GB),
            "50000 inodes free, 60000 wanted (limits.inode_reserve)"
        );
    }

    #[test]
    fn inodes_count_where_the_file_system_counts_them() {
        let inodes = |total_files, free_files| Space {
            total_files,
            free_files,
            ..space(500 * GB, 100 * GB)
        };
        let lacks = |total, free| lacking(&inodes(total, free), &settings(), 0, false).is_some();
        assert!(lacks(5_000, 499) && !lacks(5_000, 500));
        assert!(lacks(1_000_000, 999) && !lacks(1_000_000, 1_000));
        assert!(!lacks(0, 0));
    }

    #[test]
    fn the_next_journal_segment_has_its_place_and_what_is_closed_opens_with_some_to_spare() {
        let settings = Settings {
            disk_reserve: Some(100),
            ..settings()
        };
        let lacks = |free, next, closed| lacking(&space(GB, free), &settings, next, closed).is_some();
        assert!(lacks(999, 1000, false) && !lacks(1000, 1000, false) && !lacks(100, 0, false));
        assert!(lacks(1999, 0, true) && !lacks(2000, 0, true));
        let settings = Settings {
            disk_reserve: Some(GB),
            ..settings
        };
        let lacks = |free| lacking(&space(5 * GB, free), &settings, 0, true).is_some();
        assert!(lacks(GB + GB / 20 - 1) && !lacks(GB + GB / 20));
    }
}
