//! The program with real processes, over both transports.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../tests/house/mod.rs"]
mod house;
#[path = "../../../tests/house/notes.rs"]
mod notes;

const NOTES: notes::Notes = notes::Notes(env!("CARGO_BIN_EXE_tonic_over_any"));

#[test]
fn notes_know_who_wrote_them() {
    NOTES.know_who_wrote_them("notes_know_who_wrote_them");
}

#[test]
fn notes_may_be_big_and_come_from_many() {
    NOTES.may_be_big_and_come_from_many("notes_may_be_big_and_come_from_many");
}

#[test]
fn notes_outlive_bad_clients() {
    NOTES.outlive_bad_clients("notes_outlive_bad_clients");
}
