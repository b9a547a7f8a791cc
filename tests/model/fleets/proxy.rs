//! A proxy and the store of the histories: what `stream/saving` does with both, without waiting.

use std::collections::BTreeMap;

use segue::model::lane::{Apart, Header, Log, Step, Then, There, print};
use segue::model::names::OutputMsn;

use crate::judge::{Item, read};
use crate::merging::header;

/// The store, as `LaneStore` says.
#[derive(Default)]
pub(super) struct Store {
    pub(super) lane: Option<(Header, Vec<Step>)>,
}

#[derive(Debug, PartialEq)]
enum Failed {
    Unreachable,
    Hole,
    NoLane,
}

enum Appended {
    Done,
    Lost(Vec<Step>),
}

impl Store {
    pub(super) fn tail(&self) -> Option<OutputMsn> {
        self.lane.as_ref()?.1.last().map(|s| s.msn)
    }

    fn append(&mut self, expected: Option<OutputMsn>, steps: &[Step]) -> Result<Appended, Failed> {
        let Some((header, log)) = &mut self.lane else { return Err(Failed::NoLane) };
        let tail = log.last().map(|s| s.msn);
        let mut follows = expected.map_or(header.first_msn, OutputMsn::next);
        for step in steps {
            if step.msn != follows || tail < expected {
                return Err(Failed::Hole);
            }
            follows = follows.next();
        }
        if tail == expected {
            assert!(log.last().is_none_or(|tail| !tail.end), "nothing follows an end");
            log.extend(steps.iter().cloned());
            return Ok(Appended::Done);
        }
        let after: Vec<Step> = log.iter().filter(|s| Some(s.msn) > expected).cloned().collect();
        Ok(if after.starts_with(steps) { Appended::Done } else { Appended::Lost(after) })
    }

    fn begin_again(&mut self, header: Header, seen: Option<OutputMsn>) {
        if self.lane.is_some() && self.tail() == seen {
            self.lane = Some((header, vec![]));
        }
    }
}

/// One proxy's line to the store.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Line {
    Whole,
    Cut,
    /// So many calls get through, then one whose answer is lost, then none.
    Fails(u8),
}

pub(super) struct Proxy {
    pub(super) log: Log,
    pub(super) apart: Apart,
    pub(super) unsaved: usize,
    pub(super) line: Line,
    /// What was printed, by rendition and number.
    printed: BTreeMap<(usize, u64), Item>,
    splits: u32,
    /// The newest number that viewers saw.
    newest: u64,
    /// The store was away, or not what it was taken for: it is compared before more is appended.
    pub(super) missed: bool,
}

enum Copy {
    Ends(Option<OutputMsn>, OutputMsn),
    Unknown,
    Unread,
    Gone,
    Past(Option<OutputMsn>),
}

impl Proxy {
    pub(super) fn new() -> Self {
        Self {
            log: Log::new(header().into()),
            apart: Apart::default(),
            unsaved: 0,
            line: Line::Whole,
            printed: BTreeMap::new(),
            splits: 0,
            newest: 0,
            missed: false,
        }
    }

    /// Whether a call gets through, and its answer back.
    fn call(&mut self) -> (bool, bool) {
        match self.line {
            Line::Whole => (true, true),
            Line::Cut => (false, false),
            Line::Fails(0) => {
                self.line = Line::Cut;
                (true, false)
            }
            Line::Fails(n) => {
                self.line = Line::Fails(n - 1);
                (true, true)
            }
        }
    }

    fn offer(
        &mut self,
        store: &mut Store,
        expected: Option<OutputMsn>,
        steps: &[Step],
    ) -> Result<Appended, Failed> {
        match self.call() {
            (true, true) => store.append(expected, steps),
            (true, false) => {
                let _ = store.append(expected, steps);
                Err(Failed::Unreachable)
            }
            _ => Err(Failed::Unreachable),
        }
    }

    pub(super) fn append(&mut self, store: &mut Store, step: Step) {
        let outcome = if self.unsaved > 0 || self.missed || self.apart.is_closed() {
            Err(Failed::Unreachable)
        } else {
            let tail = self.log.tail().cloned();
            let sent = self.apart.outward(tail.as_ref(), std::slice::from_ref(&step)).into_owned();
            self.offer(store, tail.map(|t| t.msn), &sent).map(|done| (done, sent))
        };
        match outcome {
            Ok((Appended::Done, sent)) => {
                self.push(step);
                self.apart.given(&self.log, &sent);
            }
            Ok((Appended::Lost(there), _)) => self.hear(store, there),
            Err(Failed::Unreachable) => {
                self.unsaved += usize::from(!self.apart.is_closed());
                self.push(step);
            }
            Err(Failed::Hole) => {
                self.missed = true;
                self.bring_together(store, Copy::Unknown);
            }
            Err(Failed::NoLane) => {
                self.missed = true;
                self.bring_together(store, Copy::Gone);
            }
        }
    }

    fn hear(&mut self, store: &mut Store, there: Vec<Step>) {
        if there.first().is_some_and(|first| self.apart.strays(&self.log, first)) {
            self.bring_together(store, Copy::Unknown);
        } else {
            self.take_over(store, &there);
        }
    }

    /// Steps that do not follow are those of another log.
    fn take_over(&mut self, store: &Store, steps: &[Step]) {
        let Some(first) = steps.first() else { return };
        let next = self.log.next_msn();
        if first.msn < next || (first.msn > next && self.log.tail().is_some()) {
            self.read(store, steps);
            return;
        }
        for step in steps {
            let step = self.apart.inward(&self.log, step.clone());
            self.push(step);
        }
    }

    /// As after a restart.
    fn read(&mut self, store: &Store, steps: &[Step]) {
        let (header, _) = store.lane.as_ref().unwrap();
        let mut log = Log::new(header.clone().into());
        steps.iter().for_each(|step| log.push(step.clone()).unwrap());
        let Self { line, splits, newest, .. } = *self;
        *self = Self { log, line, splits, newest, ..Self::new() };
    }

    /// It has lost the log, and reaches nobody who has it: a viewer who comes back finds it opened anew.
    pub(super) fn reopen(&mut self, first: u64) {
        let anew = Header { first_msn: OutputMsn(first), first_discontinuity: first, ..header() };
        let Self { line, splits, .. } = *self;
        *self = Self { log: Log::new(anew.into()), line, splits, ..Self::new() };
    }

    pub(super) fn save(&mut self, store: &mut Store) {
        if self.unsaved > 0 || self.missed {
            self.bring_together(store, Copy::Unknown);
        }
    }

    fn next_unsaved(&self) -> u64 {
        self.log.next_msn().0 - self.unsaved.min(self.log.steps().len()) as u64
    }

    /// What another proxy appended, where nothing is unsaved.
    pub(super) fn newer(&mut self, store: &mut Store) {
        if self.unsaved > 0 || self.missed || self.call() != (true, true) {
            return;
        }
        let tail = self.log.tail().map(|t| t.msn);
        let steps = store.lane.iter().flat_map(|(_, steps)| steps);
        let steps: Vec<Step> = steps.filter(|s| Some(s.msn) > tail).cloned().collect();
        self.hear(store, steps);
    }

    fn bring_together(&mut self, store: &mut Store, mut copy: Copy) {
        for _ in 0..24 {
            let result = match copy {
                Copy::Ends(tail, next) => self.give(store, tail, next),
                Copy::Unknown => self.compare_newest(store),
                Copy::Unread => self.compare(store),
                Copy::Gone => self.open_again(store),
                Copy::Past(tail) => self.begin_again(store, tail),
            };
            match result {
                Ok(Some(known)) => copy = known,
                Ok(None) | Err(_) => return,
            }
        }
        panic!("it never ends");
    }

    fn give(
        &mut self,
        store: &mut Store,
        tail: Option<OutputMsn>,
        next: OutputMsn,
    ) -> Result<Option<Copy>, Failed> {
        let steps = self.apart.giving(&self.log, next);
        let Some(last) = steps.last().map(|s| s.msn) else {
            self.unsaved = 0;
            return Ok(None);
        };
        match self.offer(store, tail, &steps) {
            Ok(Appended::Done) => {
                self.apart.given(&self.log, &steps);
                self.unsaved = self.log.from(last.next()).count();
                Ok((self.unsaved > 0).then_some(Copy::Ends(Some(last), last.next())))
            }
            Ok(Appended::Lost(_)) | Err(Failed::Hole) => Ok(Some(Copy::Unknown)),
            Err(Failed::Unreachable) => Err(Failed::Unreachable),
            Err(Failed::NoLane) => Ok(Some(Copy::Gone)),
        }
    }

    fn compare(&mut self, store: &mut Store) -> Result<Option<Copy>, Failed> {
        if self.call() != (true, true) {
            return Err(Failed::Unreachable);
        }
        if let Some((header, steps)) = store.lane.clone() {
            let first_msn = header.first_msn;
            return Ok(self.merge(store, There { first_msn, steps: &steps, whole: true }));
        }
        self.missed = false;
        Ok((self.unsaved > 0).then_some(Copy::Gone))
    }

    fn open_again(&mut self, store: &mut Store) -> Result<Option<Copy>, Failed> {
        let (done, answered) = self.call();
        if done && store.lane.is_none() {
            store.lane = Some((self.shortened(), vec![]));
        }
        if answered { Ok(Some(Copy::Unread)) } else { Err(Failed::Unreachable) }
    }

    fn begin_again(
        &mut self,
        store: &mut Store,
        tail: Option<OutputMsn>,
    ) -> Result<Option<Copy>, Failed> {
        let (done, answered) = self.call();
        if done {
            store.begin_again(self.shortened(), tail);
        }
        if answered { Ok(Some(Copy::Unread)) } else { Err(Failed::Unreachable) }
    }

    fn shortened(&self) -> Header {
        let mut header = Header::clone(self.log.header());
        if let Some(oldest) = self.log.steps().next() {
            header.first_msn = oldest.msn;
            header.first_discontinuity =
                oldest.discontinuity_number - u64::from(oldest.discontinuity);
        }
        header
    }

    fn compare_newest(&mut self, store: &mut Store) -> Result<Option<Copy>, Failed> {
        let from = OutputMsn(self.next_unsaved() - 4);
        if self.log.get(from).is_none() {
            return Ok(Some(Copy::Unread));
        }
        if self.call() != (true, true) {
            return Err(Failed::Unreachable);
        }
        let steps = store.lane.iter().flat_map(|(_, steps)| steps);
        let steps: Vec<Step> = steps.filter(|s| s.msn > from).cloned().collect();
        let first_msn = header().first_msn;
        Ok(self.merge(store, There { first_msn, steps: &steps, whole: false }))
    }

    fn merge(&mut self, store: &Store, there: There) -> Option<Copy> {
        let printed_to = self.log.tail().map_or(OutputMsn(0), |t| t.msn);
        let merged = self.apart.merge(&self.log, printed_to, there);
        self.splits += u32::from(merged.split.is_some());
        if let Some(keep) = merged.keep {
            self.log.cut_back(keep);
        }
        if merged.then == Then::Read {
            return Some(Copy::Unread);
        }
        (self.unsaved, self.missed) = (0, false);
        match merged.then {
            Then::Done | Then::Closed | Then::Read => None,
            Then::Take(steps) => {
                self.take_over(store, &steps);
                None
            }
            Then::Anew => {
                self.read(store, there.steps);
                None
            }
            Then::Begin { after } => {
                self.unsaved = self.log.steps().len();
                Some(Copy::Past(after))
            }
            Then::Give { after, next } => {
                self.unsaved = self.log.from(next).count();
                Some(Copy::Ends(after, next))
            }
            Then::Ahead => {
                self.unsaved = self.log.steps().len();
                None
            }
        }
    }

    fn push(&mut self, step: Step) {
        self.log.push(step).unwrap();
    }

    /// A viewer's look: all that is in the log, and what was seen before is the same.
    pub(super) fn look(&mut self) {
        // An end names nothing, and gives way.
        if let Some(tail) = self.log.steps().rfind(|step| !step.end) {
            assert!(tail.msn.0 >= self.newest, "numbers fall");
            self.newest = tail.msn.0;
        }
        for r in 0..2 {
            for item in shown(&self.log, r) {
                let known = self.printed.entry((r, item.msn)).or_insert_with(|| item.clone());
                assert_eq!(*known, item, "a number names two things");
            }
        }
    }
}

/// What a log lists of a rendition, each as the list tells it that begins with it, and as longer ones do.
pub(super) fn shown(log: &Log, r: usize) -> Vec<Item> {
    let mut all: BTreeMap<u64, Item> = BTreeMap::new();
    let mut begins: Vec<OutputMsn> =
        log.steps().filter(|s| !s.end && s.lists(r)).map(|s| s.msn).collect();
    // Of long logs some will do.
    let (n, mut at) = (begins.len(), 0);
    begins.retain(|_| {
        at += 1;
        at <= 2 || at + 6 > n || at.is_multiple_of(5)
    });
    for first in begins {
        let Some(list) = print(log, r, first).and_then(|text| read(&text)) else { continue };
        let mut number = list.discontinuity_sequence;
        for (i, mut item) in list.segments.into_iter().enumerate() {
            // Two borders may stand before one entry.
            number += item.lines.iter().filter(|l| *l == "#EXT-X-DISCONTINUITY").count() as u64;
            item.number = number;
            let known = all.entry(item.msn).or_insert_with(|| item.clone());
            assert_eq!((&known.uri, known.number), (&item.uri, item.number), "from {first:?}");
            // Where a list begins with it the mark has left.
            if i > 0 || item.discontinuity {
                *known = item;
            }
        }
    }
    let list: Vec<Item> = all.into_values().collect();
    for two in list.windows(2) {
        let goes_on = follows(&two[0], &two[1]) && two[0].msn + 1 == two[1].msn;
        let marked = two[1].number > two[0].number;
        assert!(goes_on || marked, "{} follows {} unmarked", two[1].uri, two[0].uri);
        assert!(two[1].number >= two[0].number);
    }
    // The first may have had a mark that has left with what was before it.
    list.into_iter()
        .map(|item| Item { discontinuity: false, lines: unmarked(&item), ..item })
        .collect()
}

fn unmarked(item: &Item) -> Vec<String> {
    item.lines.iter().filter(|l| *l != "#EXT-X-DISCONTINUITY").cloned().collect()
}

/// By what their lines say of packager, run and number.
fn follows(one: &Item, two: &Item) -> bool {
    let of = |item: &Item| {
        let name = item.lines.iter().find_map(|l| l.strip_prefix("#X:")).unwrap();
        let (run, n) = name.rsplit_once('-').unwrap();
        (run.to_owned(), n.parse::<u64>().unwrap())
    };
    let ((run, n), (other, m)) = (of(one), of(two));
    run == other && n + 1 == m
}
