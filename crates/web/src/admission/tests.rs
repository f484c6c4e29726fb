use std::collections::VecDeque;

use futures_util::poll;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// The longest wait, of which half a second may be expected in a queue that stands.
const LONGEST: Duration = Duration::from_secs(2);

/// A queue that stands.
fn line(places: usize, waiting: usize, interval: f64) -> (Line, Instant) {
    let began = Instant::now();
    let now = began + LONGEST;
    let busy_since = Some(began);
    (Line { waiting, interval, last: now, busy_since, ..Line::new(places, LONGEST, LONGEST, began) }, now)
}

#[test]
fn who_would_wait_too_long_is_not_let_into_the_queue() {
    let admits = |waiting, interval| {
        let (line, now) = line(10, waiting, interval);
        line.admits(None, now)
    };
    // 200 a second.
    assert!(admits(0, 0.005) && admits(98, 0.005) && !admits(100, 0.005));
    // Long work makes the queue short, and quick work does not make it unlimited.
    assert!(admits(0, 0.2) && !admits(2, 0.2) && !admits(0, 0.6));
    assert!(admits(1023, 1e-6) && !admits(1024, 1e-6));
}

#[test]
fn nobody_joins_a_queue_that_stands_still() {
    let (line, now) = line(10, 9, 0.005);
    let after = |millis| line.admits(None, now + Duration::from_millis(millis));
    assert!(after(400) && !after(600));
}

#[test]
fn two_hundred_sign_ins_at_once_fit_into_the_queue() {
    // 30 ms of hashing on each of two processors; and on a slow machine.
    for hash in [0.03, 0.12] {
        let (line, now) = line(4, 196, hash / 2.0);
        let line = Line { longest: LOGIN_WAIT, burst: Duration::ZERO, ..line };
        // Four that began together end together.
        let late = now + Duration::from_secs_f64(hash * 2.0);
        assert!(line.admits(None, late), "{hash}");
    }
}

#[test]
fn a_party_has_the_whole_queue_until_others_come_and_half_of_it_then() {
    let (mut line, now) = line(10, 0, 0.005);
    let fill = |line: &mut Line, party| {
        let before = line.waiting;
        while line.admits(Some(party), now) {
            line.join(Some(party), now);
        }
        line.waiting - before
    };
    assert_eq!(fill(&mut line, 7), 100, "nobody else waits");
    assert_eq!(fill(&mut line, 8), 50, "there is room for others");
    assert_eq!((fill(&mut line, 9), fill(&mut line, 7)), (0, 0), "it has an end");
    for _ in 0..70 {
        line.leave(Some(7));
    }
    assert_eq!(fill(&mut line, 7), 20);
    for party in [7, 8].iter().flat_map(|party| [*party; 50]) {
        line.leave(Some(party));
    }
    assert!(line.by_party.is_empty() && line.waiting == 0);
}

#[test]
fn the_average_follows_how_quickly_it_goes_while_somebody_waits() {
    let (line, mut now) = line(10, 0, 0.005);
    let mut line = Line { burst: Duration::ZERO, ..line };
    now += Duration::from_secs(3600);
    let held = Duration::from_millis(50);
    line.given_back(now, held);
    assert!((line.interval - 0.005).abs() < 1e-9, "nobody waited: ten at once take 50 ms");
    now += Duration::from_secs(3600);
    line.join(None, now);
    for _ in 0..100 {
        now += Duration::from_millis(100);
        line.given_back(now, held);
    }
    assert!((0.099..0.101).contains(&line.interval), "{}", line.interval);
    // The rate was low while the database was unavailable, and the queue admits no request now.
    (line.waiting, line.interval) = (0, 60.0);
    assert!(!line.admits(None, now));
    for _ in 0..200 {
        line.given_back(now, held);
    }
    assert!(line.admits(None, now), "{}", line.interval);
}

/// A server of four permits that completes one request after the other, each in `work`, in steps of a millisecond.
struct Server {
    line: Line,
    now: Instant,
    work: Duration,
    /// Permits that are taken, when the first of them is released, and since when who waits.
    taken: usize,
    ends: Instant,
    waiting: VecDeque<Instant>,
    served: usize,
    refused: usize,
    /// Requests that waited in vain.
    late: usize,
    slowest: Duration,
}

impl Server {
    fn new(work: Duration) -> Self {
        let now = Instant::now();
        let line = Line::new(4, SECOND, SECOND, now);
        let (waiting, slowest) = (VecDeque::new(), Duration::ZERO);
        Self { line, now, work, taken: 0, ends: now, waiting, served: 0, refused: 0, late: 0, slowest }
    }

    fn arrive(&mut self) {
        if self.taken < self.line.places {
            if self.taken == 0 {
                self.ends = self.now + self.work;
            }
            self.taken += 1;
        } else if self.line.admits(None, self.now) {
            self.line.join(None, self.now);
            self.waiting.push_back(self.now);
        } else {
            self.refused += 1;
        }
    }

    /// Goes on for a time, with one new request each `interval`, in milliseconds.
    fn run(&mut self, time: Duration, interval: Option<u128>) {
        for milli in 0..time.as_millis() {
            if interval.is_some_and(|interval| milli.is_multiple_of(interval)) {
                self.arrive();
            }
            self.now += Duration::from_millis(1);
            while self.waiting.front().is_some_and(|joined| self.now - *joined >= self.line.longest) {
                self.waiting.pop_front();
                self.line.leave(None);
                self.late += 1;
            }
            if self.taken > 0 && self.now >= self.ends {
                self.release();
            }
        }
    }

    fn release(&mut self) {
        self.served += 1;
        self.line.given_back(self.now, self.work * self.taken as u32);
        self.ends = self.now + self.work;
        match self.waiting.pop_front() {
            Some(joined) => {
                let waited = self.now - joined;
                self.slowest = self.slowest.max(waited);
                self.line.leave(None);
                self.line.served(waited, self.now);
            }
            None => self.taken -= 1,
        }
    }

    /// What became of the requests since the last call: served, refused, and late ones.
    fn counts(&mut self) -> (usize, usize, usize) {
        let counts = (self.served, self.refused, self.late);
        (self.served, self.refused, self.late) = (0, 0, 0);
        counts
    }

    fn burst(&mut self) -> (usize, usize, usize) {
        (0..64).for_each(|_| self.arrive());
        self.run(LONGEST, None);
        self.counts()
    }
}

const WORK: Duration = Duration::from_millis(15);

#[test]
fn a_burst_from_rest_is_served() {
    let mut server = Server::new(WORK);
    assert_eq!(server.burst(), (64, 0, 0));
    // What was slow before, with an estimate of four seconds for them, may be quick now.
    server.line.interval = 0.06;
    assert_eq!(server.burst(), (64, 0, 0));
    // The machine does something else for a quarter of a second, while they come in within 192 ms.
    let mut server = Server::new(Duration::from_millis(10));
    server.arrive();
    server.ends += Duration::from_millis(250);
    server.run(Duration::from_millis(189), Some(3));
    server.run(LONGEST, None);
    assert_eq!(server.counts(), (64, 0, 0));
}

#[test]
fn a_standing_overload_is_refused_soon_and_what_comes_after_it_is_served() {
    let mut server = Server::new(WORK);
    // Three times what it can do: 66 of 200 a second.
    server.run(2 * SECOND, Some(5));
    let (served, refused, late) = server.counts();
    assert!(served >= 132 && refused >= 200 && late == 0, "{served} {refused} {late}");
    server.slowest = Duration::ZERO;
    server.run(8 * SECOND, Some(5));
    let (served, refused, late) = server.counts();
    assert!(served >= 8 * 66 && late == 0, "{served} {refused} {late}");
    let quarter = SECOND / EXPECTED + WORK;
    assert!(server.slowest <= quarter, "the queue stays short: {:?}", server.slowest);
    server.run(SECOND / 2, None);
    server.counts();
    assert_eq!(server.burst(), (64, 0, 0), "it has rested");
}

#[test]
fn a_queue_that_all_have_left_in_vain_is_no_rest() {
    // Nothing is completed: the database does not answer.
    let mut server = Server::new(Duration::from_secs(3600));
    server.run(2 * SECOND, Some(5));
    let (_, _, late) = server.counts();
    // As many as would be served within two thirds of a second as a rule.
    assert!((100..=134).contains(&late), "{late}");
    server.run(8 * SECOND, Some(5));
    let (served, refused, late) = server.counts();
    assert_eq!(served, 0);
    assert!(refused > 10 * late, "nearly all are refused at once: {refused}, {late}");
}

#[test]
fn a_busy_queue_with_short_waits_does_not_stand() {
    let mut server = Server::new(WORK);
    // As many ask again at once as are answered: permits are never free, and two wait.
    (0..6).for_each(|_| server.arrive());
    for _ in 0..200 {
        server.run(WORK, None);
        server.arrive();
    }
    assert_eq!(server.counts(), (200, 0, 0));
    assert!(server.slowest <= SECOND / SHORT, "{:?}", server.slowest);
    // In a queue that stands there would be room for 16.
    (0..32).for_each(|_| server.arrive());
    server.run(LONGEST, None);
    assert_eq!(server.counts(), (38, 0, 0));
}

#[test]
fn in_a_burst_a_party_leaves_room_for_others_within_the_longest_wait() {
    let now = Instant::now();
    let mut line = Line::new(4, SECOND, SECOND, now);
    // 5 ms each are assumed.
    let mut fill = |party| {
        let before = line.waiting;
        while line.admits(Some(party), now) {
            line.join(Some(party), now);
        }
        line.waiting - before
    };
    assert_eq!((fill(7), fill(8), fill(9), fill(7)), (133, 66, 0, 0));
}

#[tokio::test]
async fn a_shared_queue_tolerates_bursts() {
    let queue = Queue::new("test", 1, Duration::from_secs(3), true);
    let first = queue.enter(0).await.unwrap();
    // 20 ms each are assumed: 37 would have to do in a queue that stands.
    let mut burst: Vec<_> = (0..64).map(|_| Box::pin(async { queue.enter(0).await.is_some() })).collect();
    for waiting in &mut burst {
        assert!(poll!(waiting).is_pending());
    }
    drop(first);
    for waiting in burst {
        assert!(waiting.await);
    }
    assert_eq!(queue.line().waiting, 0);
}

#[tokio::test]
async fn a_queue_is_first_come_first_served_and_refuses_at_once() {
    let queue = Queue::new("test", 1, Duration::from_secs(40), false);
    let first = queue.enter(0).await.unwrap();
    queue.line().interval = 4.0;
    let (mut second, mut third) = (Box::pin(queue.enter(0)), Box::pin(queue.enter(0)));
    assert!(poll!(&mut second).is_pending());
    assert!(poll!(&mut third).is_pending());
    assert!(queue.enter(0).await.is_none(), "12 s is too long to wait");
    assert!(queue.waiting.any());
    drop(first);
    let second = second.await.unwrap();
    assert!(poll!(&mut third).is_pending());
    assert!(queue.waiting.any());
    drop(second);
    assert!(third.await.is_some());
    assert_eq!(queue.line().waiting, 0);
    assert!(!queue.waiting.any());
}

#[tokio::test]
async fn what_turns_out_slower_than_expected_is_waited_for_so_long_only() {
    let queue = Queue::new("test", 1, Duration::from_millis(100), false);
    let _held = queue.enter(0).await.unwrap();
    let begun = Instant::now();
    assert!(queue.enter(0).await.is_none());
    assert!(begun.elapsed() >= Duration::from_millis(99), "{:?}", begun.elapsed());
    assert_eq!(queue.line().waiting, 0);
    // A waiter that gives up leaves the queue.
    let mut gone = Box::pin(queue.enter(0));
    assert!(poll!(&mut gone).is_pending() && queue.line().waiting == 1);
    drop(gone);
    assert_eq!(queue.line().waiting, 0);
}
