//! Where the library is that cargo has built together with a test.

use std::env::{self, consts};
use std::fs;
use std::path::PathBuf;

/// The shared library: `cargo test` does not renew the one in target/<profile>.
pub fn library() -> PathBuf {
    let name = format!("{}wsabi{}", consts::DLL_PREFIX, consts::DLL_SUFFIX);
    let test = env::current_exe().expect("a test has a path");
    let beside = test.with_file_name(&name);
    if beside.exists() {
        return beside;
    }
    // Later versions of cargo have a directory build/wsabi/<hash>/out for each thing they build.
    let all = test.ancestors().nth(3).and_then(|it| fs::read_dir(it).ok());
    let built = all.into_iter().flatten().flatten().filter_map(|entry| {
        let library = entry.path().join("out").join(&name);
        let built_at = library.metadata().ok()?.modified().ok()?;
        Some((built_at, library))
    });
    built.max().map_or(beside, |(_, library)| library)
}
