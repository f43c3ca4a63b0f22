//! Compiles the C programs of tests/c and the examples, links them to the library, and runs them.
//! programs/mod.rs says what can be set by variables.

#[path = "../examples/certificate.rs"]
mod certificate;

mod declarations;
mod programs;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use programs::{Running, compile, compile_c, compiler, directory, root};

const HEADER: &str = include_str!("../include/wsabi.h");

#[test]
fn events_come_in_order_and_close_comes_once_and_last() {
    run("lifecycle");
}

#[test]
fn handles_are_there_before_the_first_event() {
    run("early");
}

#[test]
fn user_data_is_released_once_after_its_last_handler() {
    run("user_data");
}

#[test]
fn bad_arguments_are_refused_at_once_and_do_nothing() {
    run("null");
}

#[test]
fn every_argument_of_every_function_is_checked() {
    run("arguments");
}

#[test]
fn everything_can_be_called_inside_every_handler() {
    run("reentry");
}

#[test]
fn everything_can_be_called_inside_other_functions_of_the_application() {
    run("callbacks");
}

#[test]
fn handlers_that_end_each_others_runtimes_do_not_wait_for_each_other() {
    run("circle");
}

#[test]
fn threads_share_sockets_without_losing_or_mixing_messages() {
    run("threads");
}

#[test]
fn handles_that_are_not_live_are_refused_by_every_function() {
    run("handles");
}

#[test]
fn peers_that_fail_cause_one_error_and_one_close() {
    run("failure");
}

#[test]
fn a_server_outlives_hostile_strangers() {
    run("strangers");
}

#[test]
fn the_process_survives_dead_peers_signals_and_its_own_exit() {
    run("survival");
}

#[test]
fn limits_and_flow_control_hold() {
    run("limits");
}

#[test]
fn drain_comes_when_the_amount_of_unsent_bytes_says_so() {
    run("drain");
}

#[test]
fn compression_shrinks_what_goes_over_the_wire_and_nothing_else() {
    run("compression");
}

#[test]
fn what_is_published_reaches_its_subscribers_and_nobody_waits_for_the_slow() {
    run("publish");
}

#[test]
fn pings_are_sent_answered_and_missed() {
    run("keepalive");
}

#[test]
fn tls_carries_messages_and_ends_at_any_moment() {
    run("tls");
}

#[test]
fn facts_statistics_log_and_hooks_tell_the_truth() {
    run("facts");
}

#[test]
fn a_forked_child_starts_afresh_and_its_parent_goes_on() {
    run("fork");
}

#[test]
fn events_of_what_only_a_forked_child_still_has_are_for_nobody() {
    run("inherited");
}

#[test]
fn children_of_every_kind_leave_their_parent_alone() {
    run_once("children");
}

#[test]
fn a_connection_is_made_anew_whatever_a_forked_child_does_meanwhile() {
    run("reconnect");
}

#[test]
fn a_poll_keeps_to_its_budget_its_time_and_its_thread() {
    run_once("polling");
}

#[test]
fn loops_are_told_when_there_is_something_to_poll() {
    run_once("ready");
}

#[test]
fn events_can_be_taken_out_instead_of_being_called_back_for() {
    run_once("events");
}

#[test]
fn what_is_not_polled_takes_bounded_memory_and_is_not_lost() {
    run_once("backlog");
}

#[test]
fn requests_are_answered_at_once_later_or_never() {
    run("requests");
}

#[test]
fn a_request_says_what_is_on_the_wire_and_its_answer_only_what_is_allowed() {
    run("asked");
}

#[test]
fn of_two_answers_at_the_same_moment_exactly_one_holds() {
    run("answers");
}

#[test]
fn a_program_can_be_cpp() {
    let program = directory("lifecycle_cpp").join("program");
    let flags = ["-std=c++11", "-x", "c++"];
    compile(
        compiler("CXX", "c++"),
        &flags,
        "tests/c/lifecycle.c",
        &program,
    );
    Running::start(&program, &[]).finish().expect_success();
}

#[test]
fn no_function_is_left_out() {
    let sources = [
        include_str!("c/functions.h"),
        include_str!("c/facts.c"),
        include_str!("c/null.c"),
        include_str!("c/pair.h"),
    ];
    for line in include_str!("symbols.txt").lines() {
        let Some(name) = line
            .split_whitespace()
            .next()
            .filter(|it| it.starts_with("wsabi_"))
        else {
            continue;
        };
        let call = format!("{name}(");
        // functions.h has what takes a handle; the others are in the programs beside it.
        let is_called = sources.iter().any(|source| source.contains(&call));
        assert!(is_called, "no C program tries {name} with bad arguments");
    }
}

#[test]
fn no_handle_is_left_out() {
    let calls = include_str!("c/functions.h");
    let kinds = ["runtime", "options", "socket", "server", "request"];
    for (function, parameters) in declarations::parameters(HEADER) {
        for (at, parameter) in parameters.iter().enumerate() {
            let is = |kind: &&str| parameter.text.starts_with(&format!("wsabi_{kind} "));
            if parameter.is_pointer() || !kinds.iter().any(is) {
                continue;
            }
            let is_tried = calls
                .match_indices(&format!("{function}("))
                .any(|(start, _)| {
                    let arguments = declarations::arguments(&calls[start..]);
                    arguments.get(at) == Some(&"handle")
                });
            let name = &parameter.name;
            assert!(is_tried, "functions.h has no {function} with any {name}");
        }
    }
}

#[test]
fn no_argument_is_left_out() {
    let calls = include_str!("c/arguments.c");
    let is_tried = |how: &[&str], parameter: &str, function: &str| {
        let mut how = how.iter();
        how.any(|it| calls.contains(&format!("{it}({parameter}, {function}")))
    };
    for (function, parameters) in declarations::parameters(HEADER) {
        for (at, pointer) in parameters.iter().enumerate() {
            if pointer.text.starts_with("int32_t ") && function != "wsabi_status_name" {
                let how = ["NUMBERS_FOR", "TIMES_FOR"];
                let is_number = is_tried(&how, &pointer.name, &function);
                assert!(
                    is_number,
                    "{function} is not called with a bad {}",
                    pointer.name
                );
            }
            if !pointer.is_pointer() {
                continue;
            }
            let name = &*pointer.name;
            let is_null = is_tried(&["NULL_FOR", "NULL_FINE", "SETTING_FOR"], name, &function);
            assert!(is_null, "{function} is not called with a NULL for {name}");
            let next = parameters.get(at + 1).cloned().unwrap_or_default();
            if !next.text.starts_with("size_t ") || next.is_pointer() {
                continue;
            }
            // A sentence about room names what is said of it.
            let named = if next.name == "cap" { "cap" } else { name };
            let is_long = is_tried(&["LENGTHS_FOR", "SETTING_FOR"], named, &function);
            assert!(
                is_long,
                "{function} is not called with a {} too long",
                next.name
            );
            let is_text = is_tried(&["TEXT_FOR", "UTF8_FOR", "SETTING_FOR"], name, &function);
            let is_one = pointer.text.contains("const char");
            assert!(
                is_text || !is_one,
                "{function} is not called with a bad {name}"
            );
        }
    }
}

#[test]
fn no_program_is_left_out() {
    let this_file = include_str!("c_programs.rs");
    for entry in fs::read_dir(root().join("tests/c")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "c") {
            let argument = format!("({:?})", path.file_stem().unwrap());
            let calls = ["run", "run_once"].map(|call| format!("{call}{argument}"));
            let is_run = calls.iter().any(|call| this_file.contains(call));
            assert!(is_run, "{} has no test", path.display());
        }
    }
}

#[test]
fn the_tutorial_client_prints_what_the_browser_does() {
    let directory = directory("example_clean");
    let (server, url) = start_server("hello_server", &["0", "0.1"], &directory);
    let client = example("client", &directory);
    let outcome = Running::start(&client, &[&url]).finish();
    outcome.expect_success();
    assert_eq!(
        outcome.output,
        "[open] Connection established\n\
         Sending to server\n\
         [message] Data received from server: Hello from server, John\n\
         [close] Connection closed cleanly, code=1000 reason=Goodbye\n"
    );
    server.terminate().expect_success();
}

#[test]
fn the_examples_speak_tls_and_verify_each_other() {
    let directory = directory("example_tls");
    certificate::make(&directory, vec!["127.0.0.1".to_owned()]).unwrap();
    let [ca, cert, key] = ["ca.pem", "cert.pem", "key.pem"].map(|name| {
        let path = directory.join(name);
        path.into_os_string().into_string().unwrap()
    });
    let client = example("client", &directory);
    for (name, arguments) in [
        ("hello_server", &["0", "0.1", &cert, &key][..]),
        ("echo_server", &["0", &cert, &key]),
    ] {
        let (server, url) = start_server(name, arguments, &directory);
        assert!(url.starts_with("wss://127.0.0.1:"), "{url}");
        let mut trusting = Running::start(&client, &[&url, &ca]);
        trusting.wait_for("[message] Data received from server: ");
        if name == "hello_server" {
            trusting.finish().expect_success();
        }
        let outcome = Running::start(&client, &[&url]).finish();
        assert!(!outcome.success);
        // "certificate of unknown issuer" or, where the system trusts nobody, "TLS failed".
        assert!(!outcome.output.contains("[open]"), "{}", outcome.output);
        server.terminate().expect_success();
    }
}

#[test]
fn the_tutorial_client_sees_that_the_connection_died() {
    let directory = directory("example_killed");
    let (server, url) = start_server("hello_server", &["0", "600"], &directory);
    let mut client = Running::start(&example("client", &directory), &[&url]);
    client.wait_for("Hello from server, John");
    drop(server);
    let outcome = client.finish();
    assert!(!outcome.success);
    assert!(outcome.output.contains("\n[error] "), "{}", outcome.output);
    assert!(
        outcome.output.ends_with("\n[close] Connection died\n"),
        "{}",
        outcome.output
    );
}

#[test]
fn the_tutorial_client_says_why_it_cannot_connect() {
    // Bound but not listened on: nobody else gets the port, and it refuses connections.
    let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    bound
        .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
        .unwrap();
    let port = bound.local_addr().unwrap().as_socket().unwrap().port();
    let client = example("client", &directory("example_refused"));
    let outcome = Running::start(&client, &[&format!("ws://127.0.0.1:{port}/")]).finish();
    assert!(!outcome.success);
    assert!(outcome.output.starts_with("[error] "), "{}", outcome.output);
    assert!(
        outcome.output.ends_with("\n[close] Connection died\n"),
        "{}",
        outcome.output
    );
}

#[test]
fn the_echo_server_starts_and_ends_when_told() {
    let (server, url) = start_server("echo_server", &[], &directory("example_echo"));
    assert!(url.starts_with("ws://127.0.0.1:"), "{url}");
    server.terminate().expect_success();
}

/// What one way to deliver promises otherwise, so that the program is for the others only.
const DIFFERENCES: &[(&str, &str, &str)] =
    &[("null", "next_events", "events come without handlers, too")];

/// Compiles and runs tests/c/`name`.c, which has to succeed in every way to deliver.
fn run(name: &str) {
    programs::run_in_every_delivery(&compiled(name), |way| {
        let mut differences = DIFFERENCES.iter();
        let found = differences.find(|(its, other, _)| *its == name && *other == way);
        found.map(|(_, _, reason)| *reason)
    });
}

/// The same for a program that itself makes runtimes of each kind.
fn run_once(name: &str) {
    Running::start(&compiled(name), &[])
        .finish()
        .expect_success();
}

/// Compiles tests/c/`name`.c.
fn compiled(name: &str) -> PathBuf {
    let program = directory(name).join("program");
    compile_c(&format!("tests/c/{name}.c"), &program);
    program
}

/// Compiles examples/c/`name`.c.
fn example(name: &str, directory: &Path) -> PathBuf {
    let program = directory.join(name);
    compile_c(&format!("examples/c/{name}.c"), &program);
    program
}

/// Starts an example that prints its URL on its first line.
fn start_server(name: &str, arguments: &[&str], directory: &Path) -> (Running, String) {
    let mut server = Running::start(&example(name, directory), arguments);
    server.wait_for("\n");
    let url = server.output.trim_end().to_owned();
    (server, url)
}
