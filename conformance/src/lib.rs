//! One suite of promises for every transport. A transport's `tests/conformance.rs` is one row:
//!
//! ```text
//! conformance::conformance!(transport_unix::Unix);
//! ```
//!
//! A row can also be something that gives the words another form, such as futures: see [`Subject`].
//!
//! Each promise is a test with a sentence for a name and a watchdog. What a transport cannot keep it declares in
//! [`ipc_core::Capabilities`]; a promise that has no meaning there says so when it runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc, missing_docs)]

mod child;
mod events;
mod failing;
mod handshake;
mod identity;
mod lifecycle;
mod messages;
mod names;
mod ports;
mod raw;
mod seed;
mod stage;
mod subject;
mod threads;
mod waiting;
mod watchdog;
mod wires;

use std::io::Write;

pub use child::{Actor, play_role};
pub use events::*;
pub use failing::*;
pub use handshake::*;
pub use identity::*;
pub use lifecycle::*;
pub use messages::*;
pub use names::*;
pub use ports::AtAPort;
pub use raw::Raw;
pub use seed::seed;
pub use stage::{Stage, kind_of};
pub use subject::{Handler, Subject, survive};
pub use threads::*;
pub use waiting::*;
pub use watchdog::{in_crate, watched};
pub use wires::*;

/// A `#[test]` for every promise, over this transport; each within `around`, if that is given: a function that is
/// passed the test, and runs it.
#[macro_export]
macro_rules! conformance {
    ($transport:ty) => {
        $crate::conformance! { $transport, around: $crate::as_it_is }
    };
    ($transport:ty, around: $around:path) => {
        $crate::promises! { $transport, $around:
            carries_messages_whole_and_in_order
            empty_message_is_a_message
            fed_messages_leave_together_and_in_order
            much_that_is_fed_leaves_by_itself
            answers_that_are_fed_leave_before_the_next_wait
            send_many_says_how_many_were_accepted
            what_send_many_accepted_leaves_though_the_next_is_refused
            every_way_to_wait_carries_the_same_messages
            carries_every_size_from_0_to_16_MiB
            too_large_is_refused_before_allocation
            what_lies_unread_is_shared_out
            the_receivers_limit_is_announced_and_inclusive
            refused_send_takes_nothing
            a_timed_out_tail_still_arrives_while_we_only_receive
            cancelled_receive_loses_nothing
            silence_would_block
            deadline_is_kept_and_not_early
            connect_deadline_covers_a_full_backlog_and_a_silent_server
            a_deadline_holds_against_a_peer_that_dribbles
            a_stop_handle_ends_every_wait
            a_peer_that_stalls_is_given_up
            a_watched_peer_is_heard_to_its_last_word
            signals_do_not_break_waits
            readiness_shows_on_the_descriptor
            disconnect_is_seen_after_the_last_message
            disconnect_twice_is_fine
            what_could_not_leave_is_reported_and_leaves_later
            what_the_dead_did_not_take_is_told_once
            death_without_goodbye_is_peer_gone
            half_a_message_then_death_is_truncated
            a_frame_out_of_place_ends_its_own_connection_only
            drop_never_blocks_or_panics
            a_panic_says_no_goodbye
            descriptors_do_not_leak_over_exec_or_close
            second_live_server_is_refused_and_told_who
            stale_name_is_taken_over
            destroy_frees_the_name
            a_start_that_fails_anywhere_leaves_nothing
            a_connect_that_fails_anywhere_leaves_nothing
            a_directory_that_others_could_use_is_denied
            a_live_name_is_never_stolen
            connect_with_no_server_is_refused_at_once
            waiting_for_a_server_finds_it_when_it_comes
            wrong_transport_is_named_not_hung
            an_address_for_another_transport_is_bad
            a_server_that_dies_in_the_handshake_is_noticed
            silent_clients_do_not_stall_accept
            the_oldest_silent_client_makes_room
            one_that_has_just_come_is_not_turned_out
            room_that_appears_is_used_at_once
            a_silent_client_is_dropped_when_its_time_is_over
            clients_that_come_together_are_all_taken_in
            a_client_that_is_one_too_many_of_its_user_comes_again
            a_bad_hello_is_counted_and_harms_nobody
            a_hello_from_the_future_is_told_both_versions
            differing_schemas_are_told_apart
            a_full_server_says_busy_and_has_room_again
            a_stopping_server_tells_those_in_the_handshake
            peer_is_us
            the_policy_sees_the_peer_and_decides
            another_uid_is_refused_by_default
            halves_work_from_two_threads
            both_sides_can_flood_at_once_with_halves
            dropping_a_half_closes_its_direction_only
            one_slow_client_does_not_stall_another
            many_clients_each_get_their_own_answers
            works_behind_dyn
            serve_drains_and_says_goodbye
            a_drain_ends_though_a_handler_does_not
            a_panicking_handler_ends_its_own_connection_only
        }
    };
}

/// The same for the promises of `serve_events`, which is about transports only.
#[macro_export]
macro_rules! conformance_of_events {
    ($transport:ty) => {
        $crate::promises! { $transport, $crate::as_it_is:
            few_threads_answer_each_client_its_own
            messages_that_come_together_are_all_answered
            what_comes_between_two_turns_of_a_client_is_heard
            one_that_dribbles_is_heard_and_delays_nobody
            a_client_that_does_not_read_fills_its_own_queue_only
            answers_beyond_a_full_queue_are_refused
            a_flood_takes_bounded_turns
            a_mailbox_reaches_its_client_from_any_thread
            one_that_cannot_keep_up_is_cut_off_if_so_chosen
            the_handler_learns_why_a_client_has_left
            one_who_may_not_stay_receives_what_it_was_told
            a_panicking_event_handler_ends_its_own_connection_only
            serve_events_drains_and_says_goodbye
            a_full_queue_is_no_reason_to_drop_what_was_sent_before_the_stop
            a_drain_of_events_ends_though_a_client_or_a_handler_does_not
            workers_may_block
            one_that_stalls_is_given_up_by_a_loop
            one_that_is_gone_is_waited_for_no_more_by_a_loop
            a_full_loop_says_busy_and_has_room_again
            an_event_handler_sees_the_peer
            last_words_and_the_death_after_them_are_both_noticed
            one_that_dies_while_its_queue_is_full_is_noticed
        }
    };
}

/// The same for the promises of foreign wires, over a transport that carries them.
#[macro_export]
macro_rules! conformance_of_wires {
    ($transport:ty) => {
        $crate::promises! { $transport, $crate::as_it_is:
            every_wire_carries_messages_whole_and_in_order
            every_wire_carries_large_messages_both_ways
            an_empty_line_is_a_message
            what_a_wire_cannot_carry_is_refused_before_a_byte_leaves
            fed_messages_leave_together_on_every_wire
            the_end_of_one_direction_leaves_the_other
            a_timed_out_tail_arrives_on_every_wire
            what_was_accepted_arrives_and_nothing_else_on_every_wire
            a_full_road_and_silence_would_block_on_every_wire
            a_served_client_of_every_wire_is_answered
            a_foreign_wire_needs_a_policy_and_a_limit_that_admits_something
            a_stranger_is_ready_when_its_road_is_up
            a_stranger_who_may_not_come_in_sees_the_end
            one_stranger_too_many_sees_the_end_and_there_is_room_again
            two_hundred_who_never_finish_a_line_stall_nobody
            death_inside_a_message_is_truncated_on_every_wire
            a_line_over_the_limit_is_told_before_its_end_has_come
            what_lies_unread_of_a_message_is_shared_out_on_every_wire
            one_who_sends_byte_by_byte_is_heard
            one_who_stops_inside_a_message_is_given_up
            binary_rubbish_is_lines_like_any_other
            a_stranger_that_never_reads_keeps_nobody_waiting
            two_wires_do_not_converse_and_nobody_is_harmed
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! promises {
    ($transport:ty, $around:path: $($promise:ident)*) => {
        $(
            #[test]
            #[allow(non_snake_case, reason = "units are written as they are")]
            fn $promise() {
                let name = $crate::in_crate(concat!(module_path!(), "::", stringify!($promise)));
                $around(|| {
                    $crate::watched(name, || {
                        if !$crate::play_role::<$transport>() && $crate::has_meaning::<$transport>(name) {
                            $crate::$promise::<$transport>();
                        }
                    });
                });
            }
        )*
    };
}

/// Nothing around a test.
#[doc(hidden)]
pub fn as_it_is(test: impl FnOnce()) {
    test();
}

/// Whether a promise has a meaning for a subject; if not, that is told.
#[doc(hidden)]
#[must_use]
pub fn has_meaning<S: Subject>(test: &str) -> bool {
    let promise = test.rsplit("::").next().unwrap_or(test);
    let Some(reason) = S::leaves_out(promise) else { return true };
    // Not `println`: the test harness keeps what that says. At once, for other tests say something, too.
    let _ = std::io::stderr().write_all(format!("LEFT OUT: {test}: {reason}\n").as_bytes());
    false
}
