//! Which server takes writes, and which one may be read from meanwhile: decided from what the probes see.
//!
//! What holds: a server of an older timeline is never followed once a newer one was seen, so a primary that was cut off
//! and comes back is left alone; of two that seem writable on one timeline the present one stays.

/// What a server was last seen to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// It does not answer.
    Gone,
    /// It follows another one; `position` in bytes of the log that it has replayed.
    Standby {
        /// Bytes since the beginning of the log.
        position: i64,
    },
    /// It takes writes.
    Primary {
        /// Each promotion begins a new one.
        timeline: u32,
    },
}

/// Where to go, as indices of hosts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Route {
    /// Takes writes.
    pub primary: Option<usize>,
    /// Answers reads while there is no primary: the one that has replayed most.
    pub standby: Option<usize>,
    /// The newest timeline that was ever seen writable.
    pub timeline: u32,
}

impl Route {
    /// Where to read: the primary, or a standby while there is none.
    pub fn readable(&self) -> Option<usize> {
        self.primary.or(self.standby)
    }
}

/// The next route.
pub(super) fn choose(seen: &[Seen], now: Route) -> Route {
    let writable = |at: usize| match seen.get(at) {
        Some(Seen::Primary { timeline }) => Some(*timeline),
        Some(Seen::Standby { .. } | Seen::Gone) | None => None,
    };
    let timeline = (0..seen.len()).filter_map(writable).fold(now.timeline, u32::max);
    let fits = |at: &usize| writable(*at) == Some(timeline);
    let primary = now.primary.filter(fits).or_else(|| (0..seen.len()).find(fits));
    let standby = seen.iter().enumerate().filter_map(|(at, seen)| match seen {
        Seen::Standby { position } => Some((*position, at)),
        Seen::Primary { .. } | Seen::Gone => None,
    });
    Route { primary, standby: standby.max().map(|(_, at)| at), timeline }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Seen::{Gone, Primary, Standby};

    #[test]
    fn the_writable_one_is_the_primary_and_the_freshest_standby_is_read() {
        let seen = [Standby { position: 5 }, Primary { timeline: 1 }, Standby { position: 9 }];
        let route = choose(&seen, Route::default());
        assert_eq!(route, Route { primary: Some(1), standby: Some(2), timeline: 1 });
        let lost = choose(&[Standby { position: 5 }, Gone, Standby { position: 9 }], route);
        assert_eq!(lost, Route { primary: None, standby: Some(2), timeline: 1 });
        assert_eq!((route.readable(), lost.readable()), (Some(1), Some(2)));
    }

    #[test]
    fn a_primary_of_an_older_timeline_is_never_followed_again() {
        let both = [Primary { timeline: 1 }, Primary { timeline: 2 }];
        let before = Route { primary: Some(0), standby: None, timeline: 1 };
        let after = choose(&both, before);
        assert_eq!(after.primary, Some(1));
        let new_one_away = choose(&[Primary { timeline: 1 }, Gone], after);
        assert_eq!((new_one_away.primary, new_one_away.timeline), (None, 2));
    }

    #[test]
    fn of_two_on_one_timeline_the_present_one_stays() {
        let both = [Primary { timeline: 3 }, Primary { timeline: 3 }];
        let before = Route { primary: Some(1), standby: None, timeline: 3 };
        assert_eq!(choose(&both, before).primary, Some(1));
    }
}
