//! F5: sixteen processes race for one name, and a fifth of those who get it die with it. `HOBNOB_F5` is how many
//! seconds they race over each transport.
#![allow(clippy::unwrap_used)]

use std::{
    fs, thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use faults::{
    House, Program,
    aftermath::{Neighbour, each_address, next_start_works, shown},
    budget,
    roles::{CRASHED, DIARY, DOUBLE, EXIT, FAILED, LOST, OWNED},
    saw,
};

const RACERS: usize = 16;

#[test]
fn racing_starters_never_own_a_name_together_and_never_lose_it() {
    each_address("racing_starters_never_own_a_name_together_and_never_lose_it", |house, scheme| {
        let neighbour = Neighbour::of(house, scheme);
        let seconds = budget("HOBNOB_F5", 2);
        race(house, scheme, Duration::from_secs(seconds));
        let diary = fs::read_to_string(house.path().join(DIARY)).unwrap();
        let times = |words: &str| diary.lines().filter(|line| line.starts_with(words)).count();
        let tries = format!(
            "{RACERS} starters for {seconds} s: {} ownerships and {} crashes",
            times(OWNED),
            times(CRASHED)
        );
        let wrongs = [(DOUBLE, "double owners"), (LOST, "lost names"), (FAILED, "failed starts")];
        let seen = wrongs.map(|(words, what)| format!("{} {what}", times(words))).join(", ");
        saw("F5", shown(scheme), tries, &seen);
        for (words, _) in wrongs {
            let example = diary.lines().find(|line| line.starts_with(words));
            assert!(example.is_none(), "{seen}, for example {example:?}");
        }
        // On a busy machine few get so far; of a hundred, some die.
        assert!(times(OWNED) > 0 && (times(OWNED) < 100 || times(CRASHED) > 0), "this was no race");
        next_start_works(house, scheme, "the race");
        neighbour.must_be_untouched("the race");
    });
}

/// Each runner takes the place of the one who died before it.
fn race(house: &House, scheme: &str, time: Duration) {
    let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + time;
    let (end, address) = (end.as_millis().to_string(), House::address(scheme));
    let arguments = [&address, house.path().to_str().unwrap(), &end];
    let run = || loop {
        match Program::start(&mut house.actor("racer", &arguments)).ended() {
            (Some(0), None) => break,
            (Some(EXIT), None) | (None, Some(9)) => {}
            other => panic!("a racer ended with {other:?}"),
        }
    };
    thread::scope(|scope| (0..RACERS).for_each(|_| drop(scope.spawn(run))));
}
