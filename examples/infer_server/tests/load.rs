//! What one client can do to others: nothing.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../tests/house/mod.rs"]
mod house;
mod stage;

use std::{
    os::unix::net::UnixDatagram,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    thread,
    time::Instant,
};

use conformance::watched;
use stage::{Answer, Client, Stage, error, large, log_of, request};

fn is_served(client: &Client) {
    assert!(matches!(client.ask("7-1.png"), Answer::Digit(7, _)));
}

/// Asks so often, with so many requests under way, and gives what came.
fn ask_often(client: &Client, image: &str, count: u16, under_way: u16) -> Vec<Answer> {
    let mut answers = Vec::new();
    for id in 0..count + under_way {
        if id < count {
            client.send(&request(id, image.as_bytes(), b""));
        }
        if id >= under_way {
            answers.push(client.next().1);
        }
    }
    answers
}

fn count(answers: &[Answer], text: &str) -> usize {
    answers.iter().filter(|answer| **answer == error(text)).count()
}

#[test]
fn a_user_over_the_rate_is_told_so_and_pays_for_rubbish_too() {
    watched("a_user_over_the_rate_is_told_so_and_pays_for_rubbish_too", || {
        let stage = Stage::new();
        let begin = Instant::now();
        let mut server = stage.serve_and_log(&["--rate", "5"]);
        let client = stage.client();
        client.send(b"rubbish");
        assert_eq!(client.next().1, error("malformed request"));
        let answers = ask_often(&client, "7-1.png", 200, 4);
        let refused = count(&answers, "too many requests");
        // The rubbish was the first of five; then there are five a second, however long this took.
        let most = 4 + 5 * (begin.elapsed().as_secs() as usize + 1);
        assert!(
            refused >= 200_usize.saturating_sub(most),
            "{refused} refused, of 200 {most} may be answered"
        );
        assert!(refused <= 196, "a burst of five is answered, but {refused} were refused");
        assert!(answers.iter().any(|answer| matches!(answer, Answer::Digit(7, _))), "the first are answered");
        let log = log_of(&mut server);
        assert!(log.contains(&format!("{} answered, {} refused, 0 of", 200 - refused, refused + 1)), "{log}");
    });
}

/// There is one worker, and the images of one are so slow that the other would not get a word in, if it had to wait for
/// one of them each time.
#[test]
fn slow_images_of_one_client_do_not_stall_another() {
    watched("slow_images_of_one_client_do_not_stall_another", || {
        let stage = Stage::new();
        stage.hang("large.png", &large(40));
        let _server = stage.serve(&[]);
        let (slow, quick) = (stage.client(), stage.client());
        let (under_way, answered, is_over) = (4, AtomicU32::new(0), AtomicBool::new(false));
        (0..under_way).for_each(|id| slow.send(&request(id, b"large.png", b"")));
        thread::scope(|threads| {
            threads.spawn(|| {
                let mut left = under_way;
                while left > 0 {
                    assert!(matches!(slow.next().1, Answer::Digit(7, _)));
                    answered.fetch_add(1, SeqCst);
                    match is_over.load(SeqCst) {
                        true => left -= 1,
                        false => slow.send(&request(0, b"large.png", b"")),
                    }
                }
            });
            // The worker has found out what it has before it.
            is_served(&quick);
            let before = answered.load(SeqCst);
            (0..40).for_each(|_| is_served(&quick));
            let meanwhile = answered.load(SeqCst) - before;
            is_over.store(true, SeqCst);
            assert!(meanwhile < 20, "{meanwhile} slow ones were answered while 40 quick ones were");
        });
    });
}

#[test]
fn what_is_too_much_is_answered_busy_and_nothing_is_lost() {
    watched("what_is_too_much_is_answered_busy_and_nothing_is_lost", || {
        let stage = Stage::new();
        stage.hang("large.png", &large(30));
        let server = stage.serve(&[]);
        let client = stage.client();
        let asking = Client(client.0.try_clone().unwrap());
        let answers: Vec<Answer> = thread::scope(|threads| {
            threads.spawn(|| (0..100).for_each(|id| asking.send(&request(id, b"large.png", b""))));
            (0..100).map(|_| client.next().1).collect()
        });
        let busy = count(&answers, "busy");
        let right = answers.iter().filter(|answer| matches!(answer, Answer::Digit(7, _))).count();
        assert_eq!(busy + right, 100, "{answers:?}");
        assert!(busy > 0 && right >= 16, "{busy} busy, {right} answered");
        is_served(&client);
        drop(server);
    });
}

#[test]
fn whoever_does_not_read_is_gone_or_has_no_address_holds_up_nobody() {
    watched("whoever_does_not_read_is_gone_or_has_no_address_holds_up_nobody", || {
        let stage = Stage::new();
        let mut server = stage.serve_and_log(&[]);
        let (reading, silent, gone) = (stage.client(), stage.client(), stage.client());
        let anonymous = UnixDatagram::unbound().unwrap();
        anonymous.connect(stage.socket()).unwrap();
        for id in 0..100 {
            silent.send(&request(id, b"7-1.png", b""));
            anonymous.send(&request(id, b"7-1.png", b"")).unwrap();
        }
        gone.send(&request(1, b"7-1.png", b""));
        drop(gone);
        (0..10).for_each(|_| is_served(&reading));
        let kept = std::iter::from_fn(|| (!silent.hears_nothing()).then_some(())).count();
        let log = log_of(&mut server);
        let told = log.lines().find(|line| line.contains(" answered, ")).expect(&log);
        let numbers: Vec<usize> = told.split(' ').filter_map(|word| word.parse().ok()).collect();
        let [answered, refused, lost] = numbers[..] else { panic!("{told}") };
        assert_eq!((answered, refused), (211, 0), "{told}");
        // The one that is gone may have got its answer into its queue in time.
        assert!((200 - kept..=201 - kept).contains(&lost), "{kept} kept: {told}");
    });
}
