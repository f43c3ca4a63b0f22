//! Runs the tests of the Python binding (tests/python) against the library of this build, in a
//! virtual environment that has the package `websockets` for the interoperation tests.

use std::env::{self, consts};
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// The interpreter of an environment that is made once and kept in the target directory.
fn python_with_websockets() -> PathBuf {
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let python = environment.join("bin").join("python");
    let is_complete = Command::new(&python)
        .args(["-c", "import websockets"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !is_complete {
        run(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&environment),
            "the Python tests need python3 with venv and pip (Debian: python3-venv)",
        );
        run(
            Command::new(&python).args(["-m", "pip", "install", "--quiet", "websockets"]),
            "the Python tests need the package websockets, and pip cannot install it",
        );
    }
    python
}

fn run(command: &mut Command, complaint: &str) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{complaint}: {error}"));
    assert!(
        output.status.success(),
        "{complaint}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}
