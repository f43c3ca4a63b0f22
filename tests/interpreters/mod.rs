//! Interpreters of other languages with the packages that tests need, installed once into the
//! target directory.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use crate::missing::is_installed;

/// Python with the package `websockets`, and with `uvloop`, `mypy` and `redis` where they can be had.
pub fn python_with_websockets() -> PathBuf {
    static PYTHON: LazyLock<PathBuf> = LazyLock::new(install_python);
    PYTHON.clone()
}

/// The directory of node_modules with the package `ws`. None, after a word about it, if Node.js or
/// npm is not installed.
pub fn node_modules_with_ws() -> Option<PathBuf> {
    static MODULES: LazyLock<PathBuf> = LazyLock::new(install_ws);
    let is_there = is_installed("node", "nodejs") && is_installed("npm", "npm");
    is_there.then(|| MODULES.clone())
}

fn install_python() -> PathBuf {
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let python = environment.join("bin").join("python");
    // Says what was tried to install, since not everything has to be there.
    let note = environment.join("packages");
    let tried = "websockets uvloop mypy redis";
    if fs::read_to_string(&note).is_ok_and(|it| it == tried) {
        return python;
    }
    let has_websockets = Command::new(&python)
        .args(["-c", "import websockets"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !has_websockets {
        run(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&environment),
            "the tests need python3 with venv and pip (Debian: python3-venv)",
        );
        run(
            Command::new(&python).args(["-m", "pip", "install", "--quiet", "websockets"]),
            "the tests need the package websockets, and pip cannot install it",
        );
    }
    // Tests that need them leave themselves out where they cannot be had.
    for package in ["uvloop", "mypy", "redis"] {
        let _ = Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", package])
            .output();
    }
    fs::write(note, tried).expect("the target directory can be written");
    python
}

fn install_ws() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("node");
    let modules = directory.join("node_modules");
    if !modules.join("ws").join("package.json").exists() {
        fs::create_dir_all(&directory).unwrap();
        run(
            Command::new("npm")
                .args([
                    "install",
                    "--silent",
                    "--no-save",
                    "--no-audit",
                    "--no-fund",
                ])
                .arg("--prefix")
                .arg(&directory)
                .arg("ws"),
            "the tests need the package ws, and npm cannot install it",
        );
    }
    modules
}

/// Runs a command that has to succeed.
#[track_caller]
pub fn run(command: &mut Command, complaint: &str) {
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
