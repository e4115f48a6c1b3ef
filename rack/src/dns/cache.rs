//! Answers of other servers, as long as they hold and there is room.
//!
//! Two halves: what is asked for again moves to the young one; when that is full the old one is dropped, and with it
//! what nobody asked for lately.

use rackwright_dns::{Name, RecordType, UsableReply};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of each half.
const HALF: usize = 16 << 20;
/// Nothing is kept for longer than this; what is not there for an hour at most.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// An answer that may not be kept is still given to those who asked for it at the same time.
const SHORTEST: Duration = Duration::from_secs(1);

/// What was asked: name, type, with signatures, without checks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub(super) name: Name,
    pub(super) kind: RecordType,
    pub(super) dnssec: bool,
    pub(super) unchecked: bool,
}

#[derive(Debug, Clone)]
struct Kept {
    reply: Arc<UsableReply>,
    since: Instant,
    until: Instant,
}

#[derive(Debug, Default)]
struct Half {
    kept: HashMap<Question, Kept>,
    bytes: usize,
}

#[derive(Debug, Default)]
pub(super) struct Cache {
    young: Half,
    old: Half,
}

impl Cache {
    /// The answer and its age in seconds, while it holds.
    pub(super) fn find(&mut self, question: &Question, now: Instant) -> Option<(Arc<UsableReply>, u32)> {
        if let Some(kept) = self.old.kept.remove(question) {
            self.insert(question.clone(), kept);
        }
        let kept = self.young.kept.get(question).filter(|kept| now < kept.until)?;
        let age = now.saturating_duration_since(kept.since).as_secs();
        Some((kept.reply.clone(), u32::try_from(age).unwrap_or(u32::MAX)))
    }

    /// Keeps an answer for its lifetime.
    pub(super) fn keep(&mut self, question: Question, reply: UsableReply, now: Instant) {
        let lifetime = Duration::from_secs(reply.lifetime.into()).clamp(SHORTEST, LONGEST);
        self.insert(question, Kept { reply: Arc::new(reply), since: now, until: now + lifetime });
    }

    fn insert(&mut self, question: Question, kept: Kept) {
        let size = |kept: &Kept| kept.reply.size() + 512;
        if self.young.bytes + size(&kept) > HALF {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.bytes += size(&kept);
        if let Some(before) = self.young.kept.insert(question, kept) {
            self.young.bytes -= size(&before);
        }
    }

    /// Bytes in use, about.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.young.bytes + self.old.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rackwright_dns::{Reply, Zone, Zones};

    fn question(name: &str) -> Question {
        Question { name: name.parse().unwrap(), kind: RecordType::TXT, dnssec: false, unchecked: false }
    }

    /// An answer of about `size` bytes that holds for `ttl` seconds.
    fn reply(name: &str, ttl: u32, size: usize) -> UsableReply {
        let name: Name = name.parse().unwrap();
        let data = rackwright_dns::Data::parse(RecordType::TXT, &"x".repeat(size)).unwrap();
        let record = rackwright_dns::Record { name: name.clone(), ttl, data };
        let zones = Zones::from_iter([Zone::new(name.clone(), 1, 60, [record]).unwrap()]);
        let asked = Reply::ask(5, &name, RecordType::TXT, false, false);
        let query = rackwright_dns::Query::parse(&asked).unwrap();
        let mut buffer = Vec::new();
        zones.answer(&query, &mut buffer, 65_535).message.finish(None);
        match Reply::read(&buffer, 5, &name, RecordType::TXT) {
            Some(Reply::Whole(reply)) => reply,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_ages_and_ends() {
        let (mut cache, start) = (Cache::default(), Instant::now());
        cache.keep(question("a.example"), reply("a.example", 60, 10), start);
        let age = |cache: &mut Cache, seconds| {
            cache.find(&question("a.example"), start + Duration::from_secs(seconds)).map(|(_, age)| age)
        };
        assert_eq!(age(&mut cache, 0), Some(0));
        assert_eq!(age(&mut cache, 59), Some(59));
        assert_eq!(age(&mut cache, 60), None);
        assert!(cache.find(&question("b.example"), start).is_none());
    }

    #[test]
    fn it_does_not_grow_without_bound_and_keeps_what_is_asked_for() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let big = reply("big.example", 3600, 16_000);
        cache.keep(question("a.example"), reply("a.example", 3600, 10), now);
        for number in 0..5_000 {
            cache.keep(question(&format!("n{number}.example")), big.clone(), now);
            assert!(cache.find(&question("a.example"), now).is_some(), "after {number}");
            assert!(cache.bytes() <= 2 * HALF, "{} bytes", cache.bytes());
        }
        assert!(cache.find(&question("n0.example"), now).is_none());
    }
}
