//! The arrows between the layers of src point down only: ffi, then the Rust interface, the
//! reactor, delivery and net, and proto at the bottom.

use std::path::{Path, PathBuf};
use std::{fs, iter};

/// The modules of the crate with the rank of their layer. An arrow leads to a higher rank.
const LAYERS: [(&str, u32); 10] = [
    ("ffi", 2),
    ("runtime", 3),
    ("options", 3),
    ("request", 3),
    ("socket", 3),
    ("server", 3),
    ("reactor", 4),
    ("delivery", 5),
    ("net", 5),
    ("proto", 6),
];
/// Modules of the same rank that may know each other.
const PEERS: u32 = 3;
/// What every layer may use, and uses nothing itself.
const FOR_ALL: [&str; 5] = ["defects", "error", "records", "sync", "threads"];

#[test]
fn arrows_point_down_only() {
    let mut arrows = 0;
    for file in sources() {
        let module = file.module();
        for target in file.arrows() {
            arrows += 1;
            let is_allowed = is_allowed(&module, &target);
            assert!(
                is_allowed,
                "{}: {module} must not use {target}",
                file.path.display()
            );
        }
    }
    assert!(arrows > 50, "only {arrows} arrows were found");
}

#[test]
fn every_module_has_its_layer() {
    for file in sources() {
        let module = file.module();
        assert!(
            rank(&module).is_some() || FOR_ALL.contains(&module.as_str()),
            "{module} is in no layer"
        );
    }
}

#[test]
fn forbidden_arrows_are_found() {
    let arrows = |path: &str, text: &str| {
        Source {
            path: PathBuf::from(path),
            text: text.to_owned(),
        }
        .arrows()
    };
    assert_eq!(arrows("net/tcp.rs", "use crate::error::Error;"), ["error"]);
    assert_eq!(arrows("net/tcp.rs", "fn f() -> crate::ffi::X {}"), ["ffi"]);
    let group = "use crate::{error::{Error, Result}, proto, reactor::{self, Worker}};";
    assert_eq!(arrows("net/tcp.rs", group), ["error", "proto", "reactor"]);
    assert_eq!(arrows("net/tcp.rs", "use super::url::Url;"), [""; 0]);
    assert_eq!(arrows("net/tcp.rs", "use super::super::ffi;"), ["(super)"]);
    assert_eq!(arrows("net/mod.rs", "use super::ffi;"), ["(super)"]);
    assert_eq!(
        arrows("runtime.rs", "mod tests {\n use super::*;\n}"),
        [""; 0]
    );
    assert!(!is_allowed("net", "delivery") && !is_allowed("net", "reactor"));
    assert!(!is_allowed("proto", "ffi") && !is_allowed("error", "proto"));
    assert!(
        !is_allowed("ffi", "Socket"),
        "a name of the crate's root hides the layer"
    );
    assert!(is_allowed("ffi", "delivery") && is_allowed("socket", "runtime"));
}

/// One file of src, without its comments. Its path is relative to src.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// The module of the crate that the file belongs to.
    fn module(&self) -> String {
        let first = self.path.iter().next().unwrap_or_default();
        Path::new(first).with_extension("").display().to_string()
    }

    /// The modules of the crate that the file uses; "(super)" where a path leaves its own module
    /// upwards.
    fn arrows(&self) -> Vec<String> {
        let mut arrows = Vec::new();
        for (place, _) in self.text.match_indices("crate::") {
            let is_macro = self.text[..place].ends_with('$');
            if !is_macro {
                arrows.extend(first_names(&self.text[place + "crate::".len()..]));
            }
        }
        let depth = self.path.iter().count() - usize::from(self.path.ends_with("mod.rs"));
        let mut seen = 0;
        while let Some(gap) = self.text[seen..].find("super::") {
            let (before, chain) = self.text.split_at(seen + gap);
            let supers = chain
                .split("super::")
                .take_while(|part| part.is_empty())
                .count();
            // Tests come last in a file, and are a module inside it.
            let inline = usize::from(before.contains("mod tests {"));
            if supers >= depth + inline {
                arrows.push("(super)".to_owned());
            }
            seen += gap + "super::".len() * supers;
        }
        arrows
    }
}

fn is_allowed(module: &str, target: &str) -> bool {
    if module == target || FOR_ALL.contains(&target) {
        return true;
    }
    let (Some(from), Some(to)) = (rank(module), rank(target)) else {
        return false;
    };
    from < to || (from == to && from == PEERS)
}

fn rank(module: &str) -> Option<u32> {
    LAYERS
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, rank)| *rank)
}

/// The names with which a path or a group of paths in braces begins.
fn first_names(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else {
        return words(path).next().map(str::to_owned).into_iter().collect();
    };
    let mut depth = 0;
    let mut is_first = true;
    let mut names = Vec::new();
    for (place, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => is_first = true,
            _ if is_first && !char.is_whitespace() => {
                names.extend(words(&group[place..]).next().map(str::to_owned));
                is_first = false;
            }
            _ => {}
        }
    }
    names
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char: char| !(char.is_alphanumeric() || char == '_'))
        .filter(|word| !word.is_empty())
}

/// Every file of src but lib.rs, which only puts the modules together.
fn sources() -> impl Iterator<Item = Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let files = iter::from_fn(move || {
        let folder = folders.pop()?;
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
        Some(files)
    });
    files
        .flatten()
        .filter(|path| !path.ends_with("src/lib.rs"))
        .map(move |path| {
            let text = fs::read_to_string(&path).unwrap();
            let code = text
                .lines()
                .map(|line| line.split("//").next().unwrap_or_default());
            let text = code.collect::<Vec<_>>().join("\n");
            Source {
                path: path.strip_prefix(&root).unwrap().to_owned(),
                text,
            }
        })
}
