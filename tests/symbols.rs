//! The shared library exports the functions of tests/symbols.txt and nothing else, and the header
//! declares the same. The list never shrinks: programs out there call these functions.

#![cfg(target_os = "linux")]

mod built;
mod declarations;

use std::collections::BTreeSet;
use std::env;
use std::process::Command;

const HEADER: &str = include_str!(concat!(env!("OUT_DIR"), "/wsabi.h"));
const LIST: &str = include_str!("symbols.txt");

#[test]
fn the_library_exports_the_list() {
    assert_eq!(exported(), listed());
}

#[test]
fn the_header_declares_the_list() {
    let declared: BTreeSet<_> = declarations::functions(HEADER).into_iter().collect();
    assert_eq!(declared, listed());
}

#[test]
fn every_line_of_the_list_is_a_name_and_the_version_that_brought_it() {
    let mut before = "";
    for line in lines() {
        let (name, version) = line.split_once(' ').expect("a name and a version");
        assert!(name.starts_with("wsabi_"), "{line}");
        let numbers: Vec<u32> = version
            .split('.')
            .map(|part| part.parse().unwrap())
            .collect();
        assert_eq!(numbers.len(), 3, "{line}");
        assert!(before < name, "{name} is not in its place");
        before = name;
    }
}

#[test]
fn the_library_has_a_name_that_changes_with_its_interface() {
    let said = run("readelf", &["-d"]);
    let version: Vec<&str> = env!("CARGO_PKG_VERSION").split('.').collect();
    let soname = match version.as_slice() {
        ["0", minor, ..] => format!("libwsabi.so.0.{minor}"),
        [major, ..] => format!("libwsabi.so.{major}"),
        [] => unreachable!("a version has parts"),
    };
    assert!(said.contains(&format!("soname: [{soname}]")), "{said}");
    assert!(said.contains("NODELETE"), "{said}");
}

fn lines() -> impl Iterator<Item = &'static str> {
    LIST.lines().filter(|line| !line.starts_with('#'))
}

fn listed() -> BTreeSet<String> {
    lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

fn exported() -> BTreeSet<String> {
    let said = run("nm", &["--dynamic", "--defined-only", "--format=posix"]);
    said.lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

/// What a tool says about the shared library that was built together with this test.
fn run(tool: &str, arguments: &[&str]) -> String {
    let library = built::library();
    let output = Command::new(tool)
        .args(arguments)
        .arg(&library)
        .output()
        .unwrap_or_else(|error| panic!("{tool}: {error}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{tool} {}: {complaint}",
        library.display()
    );
    String::from_utf8(output.stdout).unwrap()
}
