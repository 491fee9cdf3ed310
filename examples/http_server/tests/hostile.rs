//! Clients that are slow, greedy, rude or mad. Whatever they do, the next one is served.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../tests/house/mod.rs"]
mod house;
mod site;

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    time::{Duration, Instant},
};

use site::{GET, NOT_ALLOWED, RUNNING, Site, each_site};

/// So long that none of it passes while a test runs.
const PATIENT: &[&str] = &["--timeout", "1000"];
const IMPATIENT: &[&str] = &["--timeout", "1"];

#[test]
fn a_large_body_that_nobody_reads_does_not_cost_the_answer() {
    each_site("a_large_body_that_nobody_reads_does_not_cost_the_answer", PATIENT, |site| {
        let size = 64 << 20;
        let head = format!("POST / HTTP/1.1\r\nHost: any\r\nContent-Length: {size}\r\n\r\n");
        let mut client = site.connect();
        client.write_all(head.as_bytes()).unwrap();
        client.write_all(&vec![b'x'; size]).expect("room for all of it");
        client.end_sending();
        assert_eq!(client.told(), NOT_ALLOWED);
        assert!(most_memory(site) < 32 << 20, "it was kept: {} bytes", most_memory(site));
    });
}

/// In bytes, what the server has had at most.
fn most_memory(site: &Site) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", site.server.child.id())).unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    most.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[test]
fn requests_behind_the_last_one_do_not_cost_its_answer() {
    each_site("requests_behind_the_last_one_do_not_cost_its_answer", PATIENT, |site| {
        let mut client = site.connect();
        client.write_all(GET.repeat(400_000).as_bytes()).expect("room for all of them");
        client.end_sending();
        assert_eq!(client.told(), RUNNING, "one answer, and then Connection: close");
        site.serves_the_next();
    });
}

#[test]
fn a_request_that_comes_too_slowly_is_given_up_however_it_dribbles() {
    each_site("a_request_that_comes_too_slowly_is_given_up_however_it_dribbles", IMPATIENT, |site| {
        let begun = Instant::now();
        for (beginning, drop) in
            [("", ""), ("GET / HT", ""), ("GET /", "a"), ("GET / HTTP/1.1\r\nHost: any", "\r\nX: y")]
        {
            let mut client = site.connect();
            client.write_all(beginning.as_bytes()).unwrap();
            client.is_given_up(drop.as_bytes());
            site.serves_the_next();
        }
        assert!(begun.elapsed() >= Duration::from_secs(4), "it was given up too soon");
    });
}

#[test]
fn a_body_without_end_is_answered_and_then_given_up() {
    each_site("a_body_without_end_is_answered_and_then_given_up", IMPATIENT, |site| {
        for kind in ["Content-Length: 9000000000", "Transfer-Encoding: chunked"] {
            let mut client = site.connect();
            client.write_all(format!("POST / HTTP/1.1\r\nHost: any\r\n{kind}\r\n\r\n").as_bytes()).unwrap();
            let mut answer = vec![0; NOT_ALLOWED.len()];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(String::from_utf8(answer).unwrap(), NOT_ALLOWED);
            // As much as the server takes, which is no more after its time.
            while client.write_all(&[b'1'; 4096]).is_ok() {}
            site.serves_the_next();
        }
    });
}

#[test]
fn headers_that_are_too_large_too_many_or_endless_are_told_so() {
    each_site("headers_that_are_too_large_too_many_or_endless_are_told_so", PATIENT, |site| {
        let one_large = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
        let too_large = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(17 << 10));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(101));
        let endless = format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(200_000));
        let a_long_way = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20));
        for request in [one_large, too_large, many, endless, a_long_way] {
            let told = site.asked(request.as_bytes());
            assert!(told.starts_with("HTTP/1.1 431 ") && told.ends_with("\r\n\r\n"), "{request:.60}: {told}");
        }
        assert!(most_memory(site) < 32 << 20, "it was kept: {} bytes", most_memory(site));
        site.serves_the_next();
    });
}

#[test]
fn rubbish_is_told_so_or_closed() {
    each_site("rubbish_is_told_so_or_closed", PATIENT, |site| {
        let noise: Vec<u8> = (0..200_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for rubbish in [
            &noise,
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
            &[0; 5000],
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost : any\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
            b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"\n\n\n\n",
            b"",
        ] {
            let mut client = site.connect();
            client.write_all(rubbish).unwrap();
            client.end_sending();
            let told = client.told();
            assert!(told.is_empty() || told.starts_with("HTTP/1.1 400 "), "{rubbish:.20?}: {told}");
            site.serves_the_next();
        }
    });
}

#[test]
fn two_hundred_clients_that_never_finish_a_line_hold_up_nobody() {
    each_site("two_hundred_clients_that_never_finish_a_line_hold_up_nobody", PATIENT, |site| {
        let mut stuck: Vec<_> = (0..200).map(|_| site.connect()).collect();
        stuck.iter_mut().for_each(|client| client.write_all(b"GET / HTTP/1.1\r\nHost: a").unwrap());
        assert!(site.server.lines().take(200).all(|line| line.starts_with("New ")));
        for _ in 0..10 {
            site.serves_the_next();
        }
        stuck.iter_mut().for_each(|client| client.write_all(b"ny\r\n\r\n").unwrap());
        stuck.iter_mut().for_each(|client| assert_eq!(client.told(), RUNNING));
    });
}

#[test]
fn clients_that_vanish_leave_nothing_behind() {
    each_site("clients_that_vanish_leave_nothing_behind", PATIENT, |site| {
        site.serves_the_next();
        let before = site.descriptors();
        for said in ["", "GET", GET, "POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nx"] {
            for _ in 0..50 {
                // With the answer unread, if there is one: the kernel resets the connection.
                site.connect().write_all(said.as_bytes()).unwrap();
            }
        }
        site.serves_the_next();
        while site.descriptors() > before {
            site.serves_the_next();
        }
    });
}

#[test]
fn one_client_too_many_is_turned_away_and_served_when_there_is_room() {
    let options = [PATIENT, &["--max-clients", "3"]].concat();
    each_site("one_client_too_many_is_turned_away_and_served_when_there_is_room", &options, |site| {
        let mut seated: Vec<_> = (0..3).map(|_| site.connect()).collect();
        assert!(site.server.lines().take(3).all(|line| line.starts_with("New ")));
        for _ in 0..100 {
            let mut told = String::new();
            match site.connect().read_to_string(&mut told) {
                Ok(_) => assert_eq!(told, ""),
                Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
            }
        }
        drop(seated.pop());
        // As soon as the server has seen that.
        loop {
            let (mut client, mut told) = (site.connect(), String::new());
            let asked = client.write_all(GET.as_bytes());
            if asked.and_then(|()| client.read_to_string(&mut told)).is_ok() && !told.is_empty() {
                break assert_eq!(told, RUNNING);
            }
        }
        seated.iter_mut().for_each(|client| client.write_all(GET.as_bytes()).unwrap());
        seated.iter_mut().for_each(|client| assert_eq!(client.told(), RUNNING));
    });
}
