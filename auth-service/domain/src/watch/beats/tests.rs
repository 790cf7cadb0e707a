use std::time::Duration;

use portcullis_types::{BootId, GatewayId};

use super::*;

fn renewal(gateway: &str, sockets: u64) -> Renewal {
    let run = Run { gateway: GatewayId::try_from(gateway).expect("a name"), boot: BootId::from_bytes([1; 16]) };
    Renewal { run, lease: Duration::from_secs(1), sockets, applied: None }
}

const fn head(seq: u64) -> Revision {
    Revision { seq, chain: seq }
}

const fn at(seconds: u64) -> Boottime {
    Boottime::from_nanos(seconds * 1_000_000_000)
}

#[test]
fn a_probe_is_answered_by_the_beat_after_the_one_that_renews_it() {
    let mut beats = Beats::default();
    beats.ask(Some(renewal("a", 1)), "one").expect("there is room");
    assert_eq!(beats.begin(at(1)), [renewal("a", 1)]);
    beats.ask(None, "two").expect("there is room");
    let (_, answered) = beats.committed(head(5)).expect("it began");
    assert!(answered.is_empty());
    assert_eq!(beats.begin(at(2)), []);
    let (fresh, answered) = beats.committed(head(7)).expect("it began");
    assert_eq!((fresh.head, fresh.proven_at, answered), (head(7), at(2), vec!["one"]));
    beats.begin(at(3));
    assert_eq!(beats.committed(head(7)).expect("it began").1, ["two"]);
    assert!(!beats.is_needed());
}

#[test]
fn a_beat_that_fails_answers_nobody_and_renews_again() {
    let mut beats = Beats::default();
    beats.ask(Some(renewal("a", 1)), "one").expect("there is room");
    beats.begin(at(1));
    beats.committed(head(1));
    beats.ask(Some(renewal("a", 2)), "two").expect("there is room");
    beats.begin(at(2));
    beats.failed();
    beats.ask(Some(renewal("a", 3)), "three").expect("there is room");
    assert_eq!(beats.begin(at(3)), [renewal("a", 3)], "the newest of a run");
    let (fresh, answered) = beats.committed(head(2)).expect("it began");
    assert_eq!((fresh.proven_at, answered), (at(3), vec!["one"]));
    beats.begin(at(4));
    assert_eq!(beats.committed(head(2)).expect("it began").1, ["two", "three"]);
}

#[test]
fn one_probe_too_many_is_refused() {
    let mut beats = Beats::default();
    for _ in 0..Beats::<()>::MOST {
        beats.ask(None, ()).expect("there is room");
    }
    assert_eq!(beats.ask(None, ()), Err(TooManyWaiting));
    beats.begin(at(1));
    assert_eq!(beats.ask(None, ()), Err(TooManyWaiting), "those that are being renewed wait too");
}
