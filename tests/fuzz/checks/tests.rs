//! Replays the corpus.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;

#[test]
fn the_corpus_is_read_without_a_finding() {
    for (name, target) in TARGETS {
        let mut count = 0;
        for path in paths(&format!("corpus/{name}")) {
            println!("{}", path.display());
            target(&fs::read(path).unwrap());
            count += 1;
        }
        println!("{name}: {count} inputs");
    }
}

#[test]
fn every_target_has_a_program_and_a_corpus() {
    let targets = TARGETS.map(|(name, _)| name.into());
    for directory in ["targets", "corpus"] {
        let names = paths(directory).map(|path| path.file_stem().unwrap().to_owned());
        assert_eq!(
            names.collect::<BTreeSet<OsString>>(),
            targets.clone().into()
        );
    }
}

/// What is in a directory below tests/fuzz.
fn paths(directory: &str) -> impl Iterator<Item = PathBuf> {
    let parent = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let entries = fs::read_dir(parent.join(directory)).unwrap();
    entries.map(|entry| entry.unwrap().path())
}

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 11] = [
    ("frames", frames),
    ("differential", differential),
    ("handshake_client", handshake_client),
    ("handshake_server", handshake_server),
    ("deflate", deflate),
    ("extensions", extensions),
    ("inflate", inflate),
    ("proxy_connect", proxy_connect),
    ("proxy_socks5", proxy_socks5),
    ("proxy_url", proxy_url),
    ("url", url),
];
