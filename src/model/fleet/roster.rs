//! Who is there. Addresses come from outside (a list, DNS, the store); each is asked again and again who it is, and
//! whoever answers is there. `A` is an address; pure, so what answered comes in as values.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::names::{ProxyId, UnixMs, is_proxy_id};

/// Proxies of a fleet at the most, this one among them.
pub const PROXIES_MAX: usize = 64;
/// So many failures in a row are one proxy that does not answer.
const FAILURES: u32 = 2;
/// Who has not answered for this long is asked more seldom.
const PATIENT_AFTER: Duration = Duration::from_secs(60);
/// That seldom; and the own address as seldom, since another may get it.
const PATIENTLY: Duration = Duration::from_secs(5);
/// Who has never answered, so often, is told of.
const SILENT_AFTER: u32 = 5;
/// Longest version and boot that is taken from another proxy.
const TEXT_MAX: usize = 64;

/// What a proxy says when it is asked who it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Its id.
    pub id: ProxyId,
    /// The zone it stands in; empty for none.
    #[serde(default)]
    pub zone: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// Another with each start of the process.
    #[serde(default)]
    pub boot: String,
    /// It is on its way out: it still gives what it holds, and should get nothing new to do.
    #[serde(default)]
    pub leaving: bool,
}

impl Hello {
    /// It can be shown and counted as it is.
    fn is_sound(&self) -> bool {
        is_proxy_id(self.id.as_str())
            && [&self.zone, &self.version, &self.boot]
                .iter()
                .all(|text| text.len() <= TEXT_MAX && !text.contains(|c: char| c.is_control()))
    }
}

/// What became of one proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It answers now.
    Came(ProxyId),
    /// It does not answer any more.
    Went(ProxyId),
    /// Nobody has answered at this address since it is known, and why.
    Silent(String),
    /// Another process says that it has this one's id, for long enough that it is no upgrade.
    SameId,
}

/// One address and who is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// It stands in what was found last: the list, DNS or the store.
    pub named: bool,
    /// What it said last.
    pub hello: Option<Hello>,
    /// It answers.
    pub answers: bool,
    /// It is this process itself.
    pub own: bool,
    /// It answers, or does not, since then.
    pub since: UnixMs,
    /// Why it does not answer; empty while it does.
    pub cause: String,
    failures: u32,
    /// It has said for so many times in a row that it has this one's id, in another process.
    same: u32,
    asked_at: UnixMs,
}

/// A proxy that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present<A> {
    /// Its id.
    pub id: ProxyId,
    /// Its zone.
    pub zone: String,
    /// Where it is asked.
    pub at: A,
    /// It is on its way out.
    pub leaving: bool,
}

/// All addresses that may be proxies of the fleet.
#[derive(Clone, Debug)]
pub struct Roster<A> {
    own: ProxyId,
    boot: String,
    members: BTreeMap<A, Member>,
}

/// So many hellos with this one's id from another process are no upgrade, in which two have it for a while.
const SAME_ID_AFTER: u32 = 60;

impl<A: Ord + Clone> Roster<A> {
    /// Nobody yet. `own` and `boot`: what this process says of itself.
    #[must_use]
    pub fn new(own: ProxyId, boot: impl Into<String>) -> Self {
        Self { own, boot: boot.into(), members: BTreeMap::new() }
    }

    /// These addresses were found. Who is not among them any more is asked on for as long as he answers: an answer
    /// may be a part of all, or old. Returns how many there was no room for.
    pub fn name(&mut self, now: UnixMs, found: &[A]) -> usize {
        let found: BTreeSet<&A> = found.iter().collect();
        for (at, member) in &mut self.members {
            member.named = found.contains(at);
        }
        self.members.retain(|_, member| member.named || member.answers);
        let mut refused = 0;
        for at in found {
            if self.members.contains_key(at) {
                continue;
            }
            if self.members.len() >= PROXIES_MAX {
                refused += 1;
                continue;
            }
            self.members.insert(at.clone(), Member::new(now));
        }
        refused
    }

    /// A proxy says that it is there, and is not known yet: it is asked, and forgotten if it does not answer.
    pub fn called(&mut self, now: UnixMs, at: A) {
        if self.members.len() < PROXIES_MAX {
            self.members.entry(at).or_insert_with(|| Member { named: false, ..Member::new(now) });
        }
    }

    /// Whom to ask now; they count as asked.
    pub fn due(&mut self, now: UnixMs) -> Vec<A> {
        let mut due = Vec::new();
        for (at, member) in &mut self.members {
            let away = !member.answers && now.since(member.since) > PATIENT_AFTER;
            let seldom = away || (member.own && member.same == 0);
            if !seldom || now.since(member.asked_at) >= PATIENTLY {
                member.asked_at = now;
                due.push(at.clone());
            }
        }
        due
    }

    /// Somebody said who he is.
    pub fn heard(&mut self, now: UnixMs, at: &A, hello: Hello) -> Vec<Change> {
        if !hello.is_sound() {
            return self.failed(now, at, false, "says of itself what cannot be");
        }
        let own = hello.id == self.own;
        let same = own && hello.boot != self.boot;
        self.change(|members| {
            let member = members.get_mut(at)?;
            let answers = !own;
            if member.answers != answers || member.own != own {
                member.since = now;
            }
            member.same = if same { member.same.saturating_add(1) } else { 0 };
            (member.own, member.answers, member.failures) = (own, answers, 0);
            member.hello = Some(hello);
            member.cause.clear();
            (member.same == SAME_ID_AFTER).then_some(Change::SameId)
        })
    }

    /// Somebody did not say who he is; `refused`: nobody listens there, which is sure at once.
    pub fn failed(&mut self, now: UnixMs, at: &A, refused: bool, cause: &str) -> Vec<Change> {
        self.change(|members| {
            let member = members.get_mut(at)?;
            member.failures = member.failures.saturating_add(1);
            cause.clone_into(&mut member.cause);
            member.own = false;
            if member.answers && (refused || member.failures >= FAILURES) {
                member.answers = false;
                member.since = now;
            }
            let silent = member.hello.is_none() && member.failures == SILENT_AFTER;
            if !member.answers && !member.named {
                members.remove(at);
            }
            silent.then(|| Change::Silent(cause.to_owned()))
        })
    }

    /// Applies one, and tells what came of it.
    fn change(
        &mut self,
        apply: impl FnOnce(&mut BTreeMap<A, Member>) -> Option<Change>,
    ) -> Vec<Change> {
        let ids = |roster: &Self| {
            roster.present().into_iter().map(|p| p.id).collect::<BTreeSet<ProxyId>>()
        };
        let before = ids(self);
        let told = apply(&mut self.members);
        let after = ids(self);
        let went = before.difference(&after).cloned().map(Change::Went);
        went.chain(after.difference(&before).cloned().map(Change::Came)).chain(told).collect()
    }

    /// The proxies that answer, each once, by id: one may have several addresses.
    #[must_use]
    pub fn present(&self) -> Vec<Present<A>> {
        let mut all: BTreeMap<&ProxyId, Present<A>> = BTreeMap::new();
        for (at, member) in self.members.iter().filter(|(_, member)| member.answers) {
            let Some(hello) = &member.hello else { continue };
            all.entry(&hello.id).or_insert_with(|| Present {
                id: hello.id.clone(),
                zone: hello.zone.clone(),
                at: at.clone(),
                leaving: hello.leaving,
            });
        }
        all.into_values().collect()
    }

    /// All addresses, for operators.
    pub fn members(&self) -> impl Iterator<Item = (&A, &Member)> {
        self.members.iter()
    }
}

impl Member {
    fn new(now: UnixMs) -> Self {
        Self {
            named: true,
            hello: None,
            answers: false,
            own: false,
            since: now,
            cause: String::new(),
            failures: 0,
            same: 0,
            asked_at: UnixMs(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: UnixMs = UnixMs(1_000_000);

    fn at(seconds: u64) -> UnixMs {
        T0.plus(Duration::from_secs(seconds))
    }
    fn hello(id: &str) -> Hello {
        Hello {
            id: ProxyId::new(id),
            zone: "az1".to_owned(),
            version: "1".to_owned(),
            boot: format!("boot of {id}"),
            leaving: false,
        }
    }
    fn roster(found: &[u16]) -> Roster<u16> {
        let mut roster = Roster::new(ProxyId::new("me"), "boot of me");
        assert_eq!(roster.name(T0, found), 0);
        roster
    }
    fn came(id: &str) -> Vec<Change> {
        vec![Change::Came(ProxyId::new(id))]
    }
    fn went(id: &str) -> Vec<Change> {
        vec![Change::Went(ProxyId::new(id))]
    }
    fn ids(roster: &Roster<u16>) -> Vec<String> {
        roster.present().iter().map(|p| format!("{}@{}", p.id, p.at)).collect()
    }

    #[test]
    fn who_answers_is_there_until_two_failures_or_a_refusal() {
        let mut roster = roster(&[1, 2]);
        assert_eq!(ids(&roster), [""; 0]);
        assert_eq!(roster.heard(T0, &1, hello("b")), came("b"));
        assert_eq!(roster.heard(T0, &1, hello("b")), []);
        assert_eq!(roster.failed(at(1), &1, false, "silent"), []);
        assert_eq!(ids(&roster), ["b@1"], "one failure is none");
        assert_eq!(roster.heard(at(2), &1, hello("b")), []);
        assert_eq!(roster.failed(at(3), &1, false, "silent"), []);
        assert_eq!(roster.failed(at(4), &1, false, "silent"), went("b"));
        assert_eq!(roster.failed(at(5), &1, false, "silent"), []);
        assert_eq!(roster.heard(at(6), &1, hello("b")), came("b"));
        assert_eq!(roster.failed(at(7), &1, true, "refused"), went("b"));
        let (_, member) = roster.members().next().unwrap();
        assert_eq!((member.since, member.cause.as_str()), (at(7), "refused"));
        // Whom nobody named is nobody.
        assert_eq!(roster.heard(at(7), &9, hello("z")), []);
        // Another process at the same place.
        assert_eq!(roster.heard(at(8), &1, hello("b")), came("b"));
        assert_eq!(roster.heard(at(9), &1, hello("c")), [went("b"), came("c")].concat());
    }

    #[test]
    fn this_one_leaves_itself_out() {
        let mut roster = roster(&[1, 2]);
        assert_eq!(roster.heard(T0, &1, hello("me")), []);
        assert_eq!(roster.heard(T0, &2, hello("b")), came("b"));
        assert_eq!(ids(&roster), ["b@2"]);
        assert!(roster.members().next().unwrap().1.own);
        // It is asked more seldom, and another may have its address one day.
        assert_eq!(roster.due(at(10)), [1, 2]);
        assert_eq!(roster.due(at(11)), [2]);
        assert_eq!(roster.due(at(15)), [1, 2]);
        assert_eq!(roster.heard(at(15), &1, hello("c")), came("c"));
    }

    #[test]
    fn another_process_with_this_one_s_id_is_told_once_and_left_out() {
        let mut roster = roster(&[1]);
        let other = Hello { boot: "another".to_owned(), ..hello("me") };
        let mut told = 0;
        for n in 0..200 {
            told += roster.heard(at(n), &1, other.clone()).len();
            // As in an upgrade, where both answer.
            if n == 30 {
                assert_eq!(roster.heard(at(n), &1, hello("me")), []);
            }
        }
        assert_eq!((told, roster.present().len()), (1, 0));
    }

    #[test]
    fn a_proxy_with_two_addresses_is_one() {
        let mut roster = roster(&[1, 2]);
        assert_eq!(roster.heard(T0, &2, hello("b")), came("b"));
        assert_eq!(roster.heard(T0, &1, hello("b")), []);
        assert_eq!(ids(&roster), ["b@1"]);
        assert_eq!(roster.failed(T0, &1, true, "refused"), []);
        assert_eq!(ids(&roster), ["b@2"]);
    }

    #[test]
    fn who_is_not_named_any_more_stays_while_he_answers() {
        let mut roster = roster(&[1, 2, 3]);
        assert_eq!(roster.heard(T0, &1, hello("b")), came("b"));
        assert_eq!(roster.name(at(1), &[2]), 0);
        let known: Vec<u16> = roster.members().map(|(at, _)| *at).collect();
        assert_eq!(known, [1, 2], "who never answered is forgotten at once");
        assert_eq!(roster.failed(at(2), &1, true, "refused"), went("b"));
        assert_eq!(roster.members().count(), 1);
    }

    #[test]
    fn who_is_away_for_long_is_asked_seldom() {
        let mut roster = roster(&[1]);
        let asked = (0..=120).filter(|s| !roster.due(at(*s)).is_empty()).count();
        assert_eq!(asked, 61 + 12);
        assert_eq!(roster.heard(at(121), &1, hello("b")), came("b"));
        assert_eq!((122..132).filter(|s| !roster.due(at(*s)).is_empty()).count(), 10);
    }

    #[test]
    fn there_is_room_for_a_fleet_and_no_more() {
        let all: Vec<u16> = (0..100).collect();
        let mut roster = roster(&[]);
        assert_eq!(roster.name(T0, &all), 100 - PROXIES_MAX);
        assert_eq!(roster.due(T0).len(), PROXIES_MAX);
        assert_eq!(roster.name(T0, &[99]), 0, "room is made by who goes");
    }

    #[test]
    fn nonsense_is_no_hello() {
        let mut roster = roster(&[1]);
        for wrong in [
            hello("Not A Name"),
            hello(""),
            Hello { zone: "a\nb".to_owned(), ..hello("b") },
            Hello { version: "1".repeat(65), ..hello("b") },
        ] {
            assert_eq!(roster.heard(T0, &1, wrong.clone()), [], "{wrong:?}");
        }
        assert_eq!(roster.present(), []);
    }

    #[test]
    fn who_has_never_answered_is_told_of_once() {
        let mut roster = roster(&[1, 2]);
        roster.heard(at(1), &2, hello("b"));
        let mut failed = |s: u64, of: u16| roster.failed(at(s), &of, false, "answers 404");
        for s in 1..5 {
            assert_eq!(failed(s, 1), []);
        }
        assert_eq!(failed(5, 1), [Change::Silent("answers 404".to_owned())]);
        assert_eq!(failed(6, 1), []);
        // Who has answered before went.
        assert_eq!(failed(7, 2), []);
        assert_eq!(failed(8, 2), [Change::Went(ProxyId::new("b"))]);
        assert_eq!(failed(30, 2), []);
    }

    #[test]
    fn who_calls_is_asked_until_it_does_not_answer() {
        let mut roster = roster(&[1]);
        roster.due(at(0));
        roster.called(at(1), 2);
        roster.called(at(1), 1);
        assert_eq!(roster.due(at(1)), [1, 2]);
        assert_eq!(roster.heard(at(1), &2, hello("b")), [Change::Came(ProxyId::new("b"))]);
        // The store does not name it yet.
        roster.name(at(2), &[1]);
        assert_eq!(roster.present().len(), 1);
        roster.failed(at(3), &2, true, "refuses");
        assert_eq!(roster.due(at(4)), [1]);
    }

    #[test]
    fn another_with_this_id_is_asked_every_second() {
        let mut roster = roster(&[1]);
        let own = |boot: &str| Hello { boot: boot.to_owned(), ..hello("me") };
        for s in 1..u64::from(SAME_ID_AFTER) {
            assert_eq!(roster.due(at(s)), [1]);
            assert_eq!(roster.heard(at(s), &1, own("another")), []);
        }
        let told = roster.heard(at(u64::from(SAME_ID_AFTER)), &1, own("another"));
        assert_eq!(told, [Change::SameId]);
    }
}
