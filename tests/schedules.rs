//! What holds in every order in which threads can run, of thousands that are tried: see
//! tests/schedules.

use wsabi_schedules::{gates, handles, pointers, queues};

macro_rules! models {
    ($($module:ident: $($model:ident),+;)+) => {
        $($(#[test]
        fn $model() {
            $module::$model();
        })+)+
    };
}

models! {
    handles:
        a_value_is_removed_once_and_never_found_again,
        no_key_is_given_out_twice,
        a_sweep_and_a_removal_do_not_both_get_a_value,
        a_key_that_is_reserved_finds_nothing_or_its_value;
    pointers:
        what_is_replaced_goes_back_once_and_when_no_handler_sees_it,
        what_is_replaced_in_a_batch_goes_back_once_and_when_no_handler_sees_it,
        what_is_handed_out_goes_back_after_it;
    gates:
        a_release_ends_the_events_and_the_handler,
        a_release_ends_the_events_that_wait,
        nothing_follows_a_release_inside_a_handler,
        a_close_ends_the_messages_and_close_still_comes,
        a_panic_while_polling_is_known_once;
    queues:
        no_event_waits_while_the_one_who_asks_sleeps,
        a_wake_is_never_lost,
        no_event_waits_without_a_signal,
        a_signal_that_was_replaced_does_not_run,
        whoever_stops_to_read_is_told_to_go_on,
        nothing_is_left_of_a_queue_that_is_cleared;
}
