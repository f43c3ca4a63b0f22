//! Runs the tests of the Python binding (tests/python) against the library of this build, in a
//! virtual environment that has the package `websockets` for the interoperation tests.

mod built;
#[path = "../examples/certificate.rs"]
mod certificate;
mod interpreters;
mod missing;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use built::library;
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
            .env("WSABI_LIBRARY", library())
            .env("WSABI_CERTIFICATES", certificates()),
        "the Python tests fail",
    );
}

/// A directory with certificates for this machine and for another one, from different authorities.
fn certificates() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python_certificates");
    // An earlier run may have left some.
    let _ = fs::remove_dir_all(&directory);
    for (place, names) in [
        ("here", &["localhost", "127.0.0.1", "::1"][..]),
        ("elsewhere", &["elsewhere.example"]),
    ] {
        let place = directory.join(place);
        fs::create_dir_all(&place).expect("the target directory can be written");
        let names = names.iter().map(ToString::to_string).collect();
        certificate::make(&place, names).expect("certificates can be made");
    }
    directory
}
