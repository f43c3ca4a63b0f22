//! What an application can do wrong, or all at once, and what the system can refuse: C programs
//! (tests/misuse), one subject each.

mod missing;
mod programs;

use std::path::PathBuf;
use std::{env, fs};

use programs::{Running, compile, compile_alone, compile_c, compiler, directory, library, root};

#[test]
fn sockets_keep_their_promises_while_sixteen_threads_do_anything() {
    run_in_every_delivery("chaos");
}

#[test]
fn a_connection_can_be_ended_at_every_stage_of_its_life() {
    run_in_every_delivery("ends");
}

#[test]
fn handlers_may_act_on_each_others_sockets_and_block_only_their_own_thread() {
    run_in_every_delivery("handlers");
}

#[test]
fn what_a_handler_changes_of_its_thread_disturbs_nothing() {
    let program = directory("changes").join("program");
    // The functions for floating point numbers are in a library of their own.
    let flags = ["-std=c99", "-Wl,--no-as-needed", "-lm"];
    let source = "tests/misuse/changes.c";
    compile(compiler("CC", "cc"), &flags, source, &program);
    programs::run_in_every_delivery(&program, |_| None);
}

#[test]
fn what_leaves_a_handler_without_returning_has_a_defined_end() {
    let program = compile_as_cpp("escape");
    // The last of them with how many threads of a runtime that is polled.
    let on_its_threads: [&[&str]; _] = [
        &["handler"],
        &["release"],
        &["request"],
        &["log"],
        &["start"],
        &["stop"],
        &["ready", "1"],
        &["release", "1"],
        &["log", "1"],
    ];
    let on_those_of_whoever_polls: [&[&str]; _] = [
        &["handler", "0"],
        &["handler", "1"],
        &["request", "0"],
        &["request", "1"],
        &["release", "0"],
        &["log", "0"],
    ];
    for way_out in ["exception", "pthread_exit"] {
        for place in on_its_threads.iter().chain(&on_those_of_whoever_polls) {
            let arguments = [&[way_out], *place].concat();
            let outcome = Running::start(&program, &arguments).finish();
            let ends_as_said = outcome.status.contains("signal: 6")
                && outcome
                    .errors
                    .contains("wsabi: a function of the application");
            let report = format!("{}:\n{}", outcome.status, outcome.errors);
            assert!(ends_as_said, "{arguments:?}: {report}");
        }
    }
    if is_instrumented() {
        eprintln!("skipped: what a longjmp leaves behind is lost, and counted as a leak");
        return;
    }
    for place in on_those_of_whoever_polls {
        println!("longjmp {place:?}");
        Running::start(&program, &[&["longjmp"], place].concat())
            .finish()
            .expect_success();
    }
}

#[test]
fn the_process_can_end_in_every_way_at_any_time() {
    let program = compile_as_cpp("exits");
    Running::start(&program, &[]).finish().expect_success();
}

#[test]
fn runtimes_can_be_freed_at_any_time_and_made_anew_over_and_over() {
    let program = compiled("rebuild");
    Running::start_with(&program, &[], &WITHOUT_CACHES)
        .finish()
        .expect_success();
}

#[test]
fn the_library_can_be_loaded_and_unloaded_over_and_over() {
    let program = directory("reload").join("program");
    let flags = ["-std=c99", "-ldl"];
    compile_alone(
        compiler("CC", "cc"),
        &flags,
        "tests/misuse/reload.c",
        &program,
    );
    let library = library().display().to_string();
    Running::start(&program, &[&library])
        .finish()
        .expect_success();
}

#[test]
fn two_copies_of_the_library_live_side_by_side() {
    let directory = directory("twice");
    let program = directory.join("program");
    compile_alone(
        compiler("CC", "cc"),
        &["-std=c99", "-ldl"],
        "tests/misuse/twice.c",
        &program,
    );
    let copies = ["one.so", "two.so"].map(|name| {
        let copy = directory.join(name);
        fs::copy(library(), &copy).unwrap();
        copy.display().to_string()
    });
    Running::start(&program, &[&copies[0], &copies[1]])
        .finish()
        .expect_success();
}

#[test]
fn threads_with_small_stacks_can_call_everything() {
    if is_instrumented() {
        eprintln!("skipped: what watches the program uses its stacks");
        return;
    }
    run("stack");
}

#[test]
fn whatever_the_system_refuses_becomes_a_status_or_an_event() {
    run_in_every_delivery("faults");
}

#[test]
fn what_cannot_be_masked_is_not_sent() {
    run("randomness");
}

#[test]
fn a_system_that_has_little_is_told_of() {
    if is_instrumented() {
        eprintln!("skipped: what watches the program makes system calls in its place");
        return;
    }
    let program = directory("bare").join("program");
    compile_c("tests/misuse/bare.c", &program);
    let outcome = Running::start(&program, &[]).finish();
    outcome.expect_success();
    for line in outcome.output.lines() {
        missing::skip(line);
    }
}

#[test]
fn memory_that_is_refused_causes_a_status_an_event_or_a_sentence() {
    if is_instrumented() {
        eprintln!("skipped: what watches the program allocates in its place");
        return;
    }
    run_in_every_delivery("memory");
}

#[test]
fn a_message_that_finds_no_memory_to_wait_in_fails_its_connection() {
    if is_instrumented() {
        eprintln!("skipped: what watches the program allocates in its place");
        return;
    }
    run("copies");
}

#[test]
fn large_memory_that_is_refused_ends_no_process() {
    if is_instrumented() {
        eprintln!("skipped: what watches the program allocates in its place");
        return;
    }
    run_in_every_delivery("large");
}

#[test]
fn descriptors_can_be_used_up_and_given_back() {
    run("descriptors");
}

#[test]
fn a_descriptor_that_the_application_closes_by_mistake_ends_only_what_needs_it() {
    run_in_every_delivery("stolen");
}

#[test]
fn thousands_of_connections_leave_nothing_behind() {
    let program = compiled("churn");
    programs::run_in_every_delivery_with(&program, &WITHOUT_CACHES, |_| None);
}

#[test]
fn clocks_that_jump_stops_and_signals_disturb_nothing() {
    run("time");
}

#[test]
fn no_program_is_left_out() {
    let this_file = include_str!("misuse.rs");
    for entry in fs::read_dir(root().join("tests/misuse")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "c") {
            let name = format!("(\"{}\"", path.file_stem().unwrap().display());
            assert!(this_file.contains(&name), "{} has no test", path.display());
        }
    }
}

/// Compiles and runs tests/misuse/`name`.c, which has to succeed.
fn run(name: &str) {
    programs::run(&format!("tests/misuse/{name}.c"), &directory(name), &[]);
}

/// Compiles one that is of C++.
fn compile_as_cpp(name: &str) -> PathBuf {
    let program = directory(name).join("program");
    let flags = ["-std=c++11", "-x", "c++"];
    let source = format!("tests/misuse/{name}.c");
    compile(compiler("CXX", "c++"), &flags, &source, &program);
    program
}

/// What a program that uses tests/misuse/heap.h has to be run with.
const WITHOUT_CACHES: [(&str, &str); 1] = [("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0")];

/// Runs one in every way to deliver.
fn run_in_every_delivery(name: &str) {
    programs::run_in_every_delivery(&compiled(name), |_| None);
}

fn compiled(name: &str) -> PathBuf {
    let program = directory(name).join("program");
    compile_c(&format!("tests/misuse/{name}.c"), &program);
    program
}

/// Whether valgrind or a sanitizer is at work.
fn is_instrumented() -> bool {
    let has = |variable, text: &str| env::var(variable).is_ok_and(|it| it.contains(text));
    has("WSABI_RUNNER", "valgrind") || has("RUSTFLAGS", "sanitizer")
}
