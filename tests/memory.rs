//! C programs use no memory that is not theirs, and lose none: some of them under valgrind, as
//! CONTRIBUTING.md says it of all.

mod missing;
mod programs;

use missing::is_installed;
use programs::{Running, compile_c, directory, root};

const SLOWNESS: u32 = 20;

#[test]
fn connections_from_their_beginning_to_their_end() {
    run("c/lifecycle");
}

#[test]
fn user_data_and_who_releases_it() {
    run("c/user_data");
}

#[test]
fn pointers_that_are_null() {
    run("c/null");
}

#[test]
fn requests_that_are_answered_later() {
    run("c/requests");
}

#[test]
fn handlers_that_act_on_each_others_sockets() {
    run("misuse/handlers");
}

/// Runs tests/`name`.c under valgrind, which has to find nothing.
fn run(name: &str) {
    if !is_installed("valgrind", "valgrind") {
        return;
    }
    let sanitizes = std::env::var("RUSTFLAGS").is_ok_and(|it| it.contains("sanitizer"));
    if sanitizes || std::env::var_os("WSABI_RUNNER").is_some() {
        return println!("skipped: something else watches the memory");
    }
    let program = directory(name.rsplit('/').next().unwrap()).join("program");
    compile_c(&format!("tests/{name}.c"), &program);
    let mut valgrind: Vec<String> = [
        "valgrind",
        "-q",
        "--error-exitcode=9",
        "--leak-check=full",
        "--show-leak-kinds=definite",
        "--errors-for-leak-kinds=definite",
    ]
    .map(str::to_owned)
    .into();
    let known = root().join("tests/c/valgrind.supp");
    valgrind.push(format!("--suppressions={}", known.display()));
    Running::start_under(valgrind, SLOWNESS, &program, &[], &[])
        .finish()
        .expect_success();
}
