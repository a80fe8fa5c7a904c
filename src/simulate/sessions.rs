//! Sessions as a source of requests: each user waits for an answer, thinks, and sends the next turn.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::{RngExt as _, SeedableRng as _};
use rand_distr::{Distribution as _, Exp1};
use rand_pcg::Pcg64Mcg;

use super::Lengths;
use super::arrivals::{Arrival, Arrivals, Content};
use super::kept::Part;
use crate::diagnostic::Diagnostic;
use crate::units::Seconds;
use crate::workload::Sessions;

use super::moment::Moment;

/// The key of what all prompts begin with.
pub const SHARED: u64 = 0;

/// The first key of what one request alone has.
pub const OWN: u64 = 1 << 63;

/// A user in the middle of a session.
#[derive(Clone, Copy, Debug, Default)]
struct User {
    session: u64,
    /// The turn that comes next or runs, from 1.
    turn: u64,
    /// Tokens beyond the shared beginning that were said before it.
    said: u64,
    /// What they are once it is answered.
    then: u64,
    /// Requests of the turn that are not answered.
    open: u64,
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A user has thought.
    Turn(usize),
    /// A request is sent.
    Send(Arrival),
    /// Another replica answers a user.
    Answer(usize),
}

/// An event in the order of time, and of being foreseen.
#[derive(Clone, Copy, Debug)]
struct Due {
    at: Moment,
    number: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Due) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Due) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Due) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// How the lengths of turns are drawn, and where they go.
#[derive(Clone, Debug, PartialEq)]
pub struct Turns {
    /// The load, in means.
    pub sessions: Sessions,
    /// Tokens of the first turn, of each later one, and of an answer.
    pub lengths: [Lengths; 3],
    /// Replicas that a turn may go to, of which one is simulated: the others answer as fast as it does.
    pub replicas: u64,
}

/// Users of one replica; where turns go to any of several, those of all.
#[derive(Debug)]
pub struct SessionLoop {
    turns: Turns,
    users: Vec<User>,
    due: BinaryHeap<Reverse<Due>>,
    /// Events foreseen so far.
    number: u64,
    /// Sessions begun so far.
    begun: u64,
    /// Requests that are still to be sent here.
    left: u64,
    /// Answers from here, and how long they took.
    answers: (u64, Seconds),
    random: Pcg64Mcg,
}

impl SessionLoop {
    /// `users` users in the middle of their sessions, who send `requests` requests to this replica.
    pub fn new(turns: Turns, users: u64, requests: u64, seed: u64) -> SessionLoop {
        let random = Pcg64Mcg::seed_from_u64(seed);
        let mut all = SessionLoop {
            turns,
            users: Vec::new(),
            due: BinaryHeap::new(),
            number: 0,
            begun: 0,
            left: requests,
            answers: (0, Seconds::ZERO),
            random,
        };
        let s = all.turns.sessions;
        for number in 0..users as usize {
            all.begun += 1;
            let turn = all.random.random_range(1..=s.turns);
            let said = s.said(turn - 1) as u64;
            all.users.push(User { session: all.begun, turn, said, then: said, open: 0 });
            let at = all.thinks();
            all.foresee(at, Event::Turn(number));
        }
        all
    }

    fn thinks(&mut self) -> Seconds {
        let drawn: f64 = Exp1.sample(&mut self.random);
        self.turns.sessions.think * drawn
    }

    fn foresee(&mut self, at: Seconds, event: Event) {
        self.number += 1;
        self.due.push(Reverse(Due { at: Moment(at), number: self.number, event }));
    }

    /// A user sends the requests of a turn, each to a replica.
    fn turn(&mut self, number: usize, at: Seconds) {
        let s = self.turns.sessions;
        let User { session, turn, said, .. } = self.users[number];
        self.users[number].open = s.branches;
        for branch in 0..s.branches {
            let asked = &self.turns.lengths[usize::from(turn > 1)];
            let nothing = if turn > 1 { s.new == 0 } else { s.first == 0 };
            let new = if nothing { 0 } else { asked.draw(&mut self.random) };
            let output = self.turns.lengths[2].draw(&mut self.random);
            let goes_on = branch == 0;
            if goes_on {
                self.users[number].then = said + new + output;
            }
            let here = self.turns.replicas <= 1 || self.random.random_range(0..self.turns.replicas) == 0;
            if here {
                self.begun += 1;
                let own = if goes_on { session } else { OWN | self.begun };
                let content = Content::Turn { user: number, session, said, shared: s.system, own };
                let prompt = s.system + said + new;
                self.foresee(at, Event::Send(Arrival { at, prompt, output, reused: 0, content }));
            } else {
                let (n, sum) = self.answers;
                let response = if n == 0 { Seconds::ZERO } else { sum / n as f64 };
                self.foresee(at + response, Event::Answer(number));
            }
        }
    }

    /// A request of a user's turn is answered.
    fn answer(&mut self, number: usize, at: Seconds) {
        let user = &mut self.users[number];
        user.open = user.open.saturating_sub(1);
        if user.open > 0 {
            return;
        }
        (user.turn, user.said) = (user.turn + 1, user.then);
        if user.turn > self.turns.sessions.turns {
            self.begun += 1;
            *user = User { session: self.begun, turn: 1, ..User::default() };
        }
        let thinks = self.thinks();
        self.foresee(at + thinks, Event::Turn(number));
    }
}

impl Arrivals for SessionLoop {
    fn next(&mut self) -> Result<Option<Arrival>, Diagnostic> {
        if self.left == 0 {
            return Ok(None);
        }
        while let Some(Reverse(Due { at, event, .. })) = self.due.pop() {
            match event {
                Event::Turn(user) => self.turn(user, at.0),
                Event::Answer(user) => self.answer(user, at.0),
                Event::Send(request) => {
                    self.left -= 1;
                    return Ok(Some(request));
                }
            }
        }
        Ok(None)
    }

    fn answered(&mut self, request: &Arrival, at: Seconds) {
        if let Content::Turn { user, .. } = request.content {
            self.answers = (self.answers.0 + 1, self.answers.1 + (at - request.at));
            self.answer(user, at);
        }
    }

    /// An answer may be followed by a request that is sent before it.
    fn reconsider(&mut self, coming: Arrival) -> Option<Arrival> {
        self.left += 1;
        self.foresee(coming.at, Event::Send(coming));
        None
    }

    fn keeps_prefixes(&self) -> bool {
        true
    }

    fn are_bounded(&self) -> bool {
        true
    }

    fn kept_before(&self) -> Vec<Part> {
        let shared = Part { key: SHARED, tokens: self.turns.sessions.system };
        let said = self.users.iter().map(|user| Part { key: user.session, tokens: user.said });
        // What all have is used all the time.
        said.filter(|part| part.tokens > 0).chain([shared]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(replicas: u64) -> SessionLoop {
        let sessions: Sessions = "turns=3,system=100,new=50,output=20,think=10s".parse().unwrap();
        let lengths = [Lengths::Fixed(50), Lengths::Fixed(50), Lengths::Fixed(20)];
        SessionLoop::new(Turns { sessions, lengths, replicas }, 4, 4000, 7)
    }

    #[test]
    fn each_turn_begins_with_all_that_was_said_and_a_session_ends_after_its_last() {
        let mut source = source(1);
        let mut last: std::collections::HashMap<u64, u64> = std::collections::HashMap::new();
        for _ in 0..2000 {
            let request = source.next().unwrap().unwrap();
            let Content::Turn { session, said, .. } = request.content else { panic!("a turn") };
            assert_eq!((request.prompt, said % 70), (100 + said + 50, 0));
            assert!(said <= 140);
            if let Some(before) = last.insert(session, said) {
                assert_eq!(said, before + 70);
            }
            source.answered(&request, request.at + Seconds::new(1.0));
        }
        // Four users, each with a turn in eleven seconds on average.
        let end = source.next().unwrap().unwrap().at;
        assert!((2000.0 / end.get() / (4.0 / 11.0) - 1.0).abs() < 0.08, "{end}");
    }

    #[test]
    fn of_turns_that_go_anywhere_one_replica_has_its_share() {
        let mut source = source(4);
        for _ in 0..1000 {
            let request = source.next().unwrap().unwrap();
            source.answered(&request, request.at + Seconds::new(1.0));
        }
        let end = source.next().unwrap().unwrap().at;
        assert!((1000.0 / end.get() / (1.0 / 11.0) - 1.0).abs() < 0.1, "{end}");
    }

    #[test]
    fn a_request_that_is_sent_before_the_one_that_was_foreseen_comes_first() {
        let mut source = source(1);
        let first = source.next().unwrap().unwrap();
        let second = source.next().unwrap().unwrap();
        assert!(second.at >= first.at);
        source.answered(&first, first.at);
        assert_eq!(source.reconsider(second), None);
        let mut all: Vec<Seconds> = (0..4).filter_map(|_| source.next().unwrap()).map(|r| r.at).collect();
        assert!(all.contains(&second.at) && all.is_sorted_by(|a, b| a.get() <= b.get()));
        all.clear();
    }
}
