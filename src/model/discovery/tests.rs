//! Who joins and who leaves, answer by answer.

use super::*;

const DNS: Rules = Rules {
    members_max: 64,
    answers: 3,
    absent_min: Duration::from_secs(5),
    leave_within: Duration::from_secs(60),
};
const FILE: Rules = Rules { answers: 1, absent_min: Duration::ZERO, ..DNS };

/// Each letter is a packager.
fn named(letters: &str) -> Vec<(PackagerId, char)> {
    letters.chars().map(|c| (PackagerId::new(c.to_string()), c)).collect()
}

/// `+a` joined, `=a` back, `~a` moved, `-a` left, `xa` forgotten.
fn told(changes: &[Change]) -> String {
    let one = |change: &Change| match change {
        Change::Joined(id) => format!("+{id}"),
        Change::Back(id) => format!("={id}"),
        Change::Moved(id) => format!("~{id}"),
        Change::Left(id) => format!("-{id}"),
        Change::Forgotten(id) => format!("x{id}"),
    };
    changes.iter().map(one).collect()
}

/// Answers that come every `ttl_s` seconds, and what each did.
fn play(rules: &Rules, ttl_s: u64, answers: &[&str]) -> String {
    let mut group = Group::default();
    let told = answers.iter().enumerate().map(|(n, answer)| {
        let now = UnixMs(1_000_000 + n as u64 * ttl_s * 1000);
        told(&group.answer(now, named(answer), Duration::from_secs(ttl_s), rules))
    });
    told.collect::<Vec<_>>().join(" ")
}

#[test]
fn answer_by_answer() {
    for (name, rules, ttl_s, answers, want) in [
        ("grows", DNS, 5, &["a", "ab", "abc"][..], "+a +b +c"),
        ("shrinks, when it is sure", DNS, 5, &["abc", "a", "a", "a", "a"], "+a+b+c   -b-c "),
        ("one answer without it is nothing", DNS, 5, &["ab", "a", "ab", "ab"], "+a+b   "),
        ("empty answers change nothing", DNS, 5, &["ab", "", "", "", ""], "+a+b    "),
        ("not by many answers in no time", DNS, 1, &["ab", "a", "a", "a", "a", "a"], "+a+b     -b"),
        ("all are others now", DNS, 5, &["ab", "cd", "cd", "cd"], "+a+b +c+d  -a-b"),
        ("it comes back while it leaves", DNS, 5, &["ab", "a", "a", "a", "ab"], "+a+b   -b =b"),
        (
            // Whoever gives parts must show for long that it is gone.
            "parts of the group",
            DNS,
            5,
            &["abc", "ab", "bc", "ac", "ab", "ab", "ab", "ab"],
            "+a+b+c       ",
        ),
        ("a file says all", FILE, 1, &["abc", "a", "ab"], "+a+b+c -b-c =b"),
    ] {
        assert_eq!(play(&rules, ttl_s, answers), want, "{name}");
    }
}

/// A cache gives the same part again until its time is up.
#[test]
fn an_answer_out_of_a_cache_is_one_answer() {
    let mut group = Group::default();
    let ttl = Duration::from_secs(300);
    for second in (0..900).step_by(60) {
        let left = 300 - second % 300;
        let answer = if second < 300 { "ab" } else { "a" };
        let (now, left) = (UnixMs(second * 1000), Duration::from_secs(left).min(ttl));
        let changes = group.answer(now, named(answer), left, &DNS);
        assert_eq!(told(&changes), if second == 0 { "+a+b" } else { "" }, "after {second} s");
    }
    let changes = group.answer(UnixMs(900_000), named("a"), ttl, &DNS);
    assert_eq!(told(&changes), "-b");
}

/// Eight of twenty, and the hardest, eight of nine, for a day: nobody leaves. Then one is gone.
#[test]
fn random_parts_make_nobody_come_and_go() {
    for all in [9_usize, 20, 40] {
        let letters: Vec<char> = ('A'..='Z').chain('a'..='z').take(all).collect();
        let (mut group, mut now, mut seed) = (Group::default(), UnixMs(1), 7_u64);
        let mut answer = |group: &mut Group<char>, of: &[char]| {
            let mut of = of.to_vec();
            let some = (0..8).map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040);
                of.remove((seed >> 33) as usize % of.len())
            });
            let some: String = some.collect();
            now = now.plus(Duration::from_secs(60));
            group.answer(now, named(&some), Duration::from_secs(60), &DNS)
        };
        for n in 0..1440 {
            let changes = answer(&mut group, &letters);
            let joins = changes.iter().all(|c| matches!(c, Change::Joined(_)));
            assert!(joins, "{all}: answer {n}: {changes:?}");
        }
        assert_eq!(group.count(), (all, 0));
        let gone = (0..200).find(|_| !answer(&mut group, &letters[1..]).is_empty());
        assert!(gone.is_some_and(|n| n >= 3), "{all}: {gone:?}");
        assert_eq!(group.count(), (all - 1, 1));
        assert!(group.members()[&PackagerId::new("A")].leaving.is_some());
    }
}

#[test]
fn who_is_remembered_is_not_new_and_leaves_like_any() {
    let mut group = Group::remembered(named("ab"), UnixMs(0));
    assert!(group.members().values().all(|m| !m.new));
    assert_eq!(group.answered_at(), None);
    for (n, want) in ["+c", "", "-b"].iter().enumerate() {
        let now = UnixMs(6000 * (n as u64 + 1));
        assert_eq!(told(&group.answer(now, named("ac"), Duration::from_secs(6), &DNS)), *want);
    }
    assert!(group.members()[&PackagerId::new("c")].new);
}

#[test]
fn too_many_are_not_taken() {
    let rules = Rules { members_max: 2, ..FILE };
    let mut group = Group::default();
    let mut answer = |n, letters| {
        let changes = group.answer(UnixMs(n), named(letters), Duration::ZERO, &rules);
        (told(&changes), group.refused())
    };
    assert_eq!(answer(1, "abc"), ("+a+b".to_owned(), 1));
    assert_eq!(answer(2, "cba"), (String::new(), 1), "who is there stays");
    assert_eq!(answer(3, "bc"), ("-a".to_owned(), 1));
    assert_eq!(answer(4, "bc"), ("+c".to_owned(), 0));
    assert_eq!(answer(5, "abc"), (String::new(), 1), "no room to come back");
}

#[test]
fn who_has_left_is_forgotten_with_its_last_lane_or_in_time() {
    let mut group = Group::default();
    group.answer(UnixMs(0), named("abc"), Duration::ZERO, &FILE);
    group.answer(UnixMs(1000), named("a"), Duration::ZERO, &FILE);
    let lanes = |id: &PackagerId| if id.as_str() == "c" { Lanes::None } else { Lanes::Some };
    assert_eq!(told(&group.forget(UnixMs(1000), lanes, &FILE)), "xc");
    assert_eq!(told(&group.forget(UnixMs(60_999), lanes, &FILE)), "");
    assert_eq!(told(&group.forget(UnixMs(61_000), |_| Lanes::Stuck, &FILE)), "");
    assert_eq!(told(&group.forget(UnixMs(61_000), lanes, &FILE)), "xb");
    // However many come and go, a limit holds.
    let one = Rules { members_max: 1, ..FILE };
    for (n, letter) in ["a", "d", "e", "f"].iter().enumerate() {
        let now = UnixMs(100_000 + n as u64);
        // The one place is free only once the other has left.
        for _ in 0..2 {
            group.answer(now, named(letter), Duration::ZERO, &one);
        }
        group.forget(now, |_| Lanes::Stuck, &one);
    }
    assert_eq!(group.count(), (1, 1));
}

#[test]
fn ids() {
    let long = "packager-of-an-autoscaling-group.eu-central-1.internal.example.com";
    for (group, place, want) in [
        ("az1", "10.0.1.17", "az1-10-0-1-17"),
        ("az1", "fd00:ec2::17", "az1-fd00-ec2--17"),
        ("az1", "Edge-3.internal:1935", "az1-edge-3-internal-1935"),
    ] {
        assert_eq!(member_id(group, place).as_str(), want);
    }
    let hashed = member_id("az1", long);
    assert_eq!((hashed.as_str().len(), &hashed), (20, &member_id("az1", long)));
    let longest = member_id(&"g".repeat(32), &"f".repeat(39));
    assert!(longest.as_str().len() + "-12345678".len() <= crate::model::token::ID_BYTES_MAX);
}
