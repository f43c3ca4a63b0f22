//! Runs the tests of the Python binding (tests/python) against the library of this build, in a
//! virtual environment that has the package `websockets` for the interoperation tests.

mod interpreters;

use std::env::{self, consts};
use std::path::PathBuf;
use std::process::Command;

use interpreters::{python_with_websockets, run};

#[test]
fn the_python_tests_pass() {
    let python = python_with_websockets();
    run(
        Command::new(python)
            .args(["-X", "faulthandler", "-m", "unittest", "discover"])
            .args(["--start-directory", "tests/python"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("PYTHONPATH", "bindings/python")
            .env("WSABI_LIBRARY", library()),
        "the Python tests fail",
    );
}

/// The library that cargo has built for this test: `cargo test` does not renew the one a level up.
fn library() -> PathBuf {
    let deps = env::current_exe().expect("this test has a path");
    let name = format!("{}wsabi{}", consts::DLL_PREFIX, consts::DLL_SUFFIX);
    deps.with_file_name(name)
}
