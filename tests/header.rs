//! The C header is the generated one, every C and C++ compiler takes it, and it says everything.

mod declarations;
mod missing;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const GENERATED: &str = include_str!(concat!(env!("OUT_DIR"), "/wsabi.h"));
const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn the_committed_header_is_the_generated_one() {
    let committed = Path::new(PACKAGE).join("include/wsabi.h");
    if env::var_os("WSABI_BLESS").is_some() {
        fs::write(&committed, GENERATED).unwrap();
    }
    let text = fs::read_to_string(&committed).unwrap_or_default();
    assert!(
        text == GENERATED,
        "include/wsabi.h is stale; WSABI_BLESS=1 cargo test --test header renews it"
    );
}

#[test]
fn every_standard_of_c_and_cpp_takes_it_alone_and_twice() {
    let folder = scratch("standards");
    let alone = folder.join("alone.c");
    fs::write(
        &alone,
        "#include \"wsabi.h\"\nint main(void) { return 0; }\n",
    )
    .unwrap();
    let twice = folder.join("twice.c");
    let behind_others = "#include <stdio.h>\n#include \"wsabi.h\"\n#include \"wsabi.h\"\n\
                         int main(void) { printf(\"%s\", \"\"); return WSABI_OK; }\n";
    fs::write(&twice, behind_others).unwrap();
    for (compiler, language, standard) in [
        (c_compiler(), "c", "c99"),
        (c_compiler(), "c", "c11"),
        (c_compiler(), "c", "c17"),
        (cpp_compiler(), "c++", "c++11"),
        (cpp_compiler(), "c++", "c++20"),
    ] {
        for source in [&alone, &twice] {
            compile(&compiler, language, standard, source);
        }
    }
}

#[test]
fn structs_are_laid_out_as_promised() {
    let source = scratch("layout").join("layout.c");
    let mut text = String::from(
        "#include \"wsabi.h\"\n\
         #if UINTPTR_MAX == UINT64_MAX\n",
    );
    for Layout {
        name,
        size,
        offsets,
    } in LAYOUTS
    {
        text += &format!("_Static_assert(sizeof({name}) == {size}, \"{name}\");\n");
        for (field, offset) in offsets {
            text += &format!(
                "_Static_assert(offsetof({name}, {field}) == {offset}, \"{name}.{field}\");\n"
            );
        }
    }
    text += "#endif\nint main(void) { return 0; }\n";
    fs::write(&source, text).unwrap();
    compile(&c_compiler(), "c", "c11", &source);
}

#[test]
fn declarations_are_plain() {
    let plain = declarations::plain(GENERATED);
    for word in declarations::words(&plain) {
        let has_capitals = word.contains(|char: char| char.is_ascii_uppercase());
        assert!(!has_capitals, "{word} looks like a macro");
        assert!(
            !["enum", "union", "extern", "bool", "long"].contains(&word),
            "{word}"
        );
    }
    assert!(!plain.contains("..."), "varargs");
    assert!(declarations::functions(GENERATED).len() > 50);
}

#[test]
fn luajit_can_read_the_declarations() {
    let plain = declarations::plain(GENERATED);
    let script = scratch("luajit").join("cdef.lua");
    let code = format!(
        "local ffi = require('ffi')\n\
         ffi.cdef[====[\n{plain}]====]\n\
         assert(ffi.sizeof('wsabi_stats') == 104)\n\
         assert(ffi.typeof('wsabi_handler'))\n"
    );
    fs::write(&script, code).unwrap();
    if !missing::is_installed("luajit", "luajit") {
        return;
    }
    let output = Command::new("luajit").arg(&script).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn every_public_name_has_our_prefix() {
    let macros = GENERATED
        .lines()
        .filter_map(|line| line.strip_prefix("#define "));
    for name in macros.filter_map(|line| line.split_whitespace().next()) {
        assert!(name.starts_with("WSABI_"), "{name}");
    }
    for name in declarations::functions(GENERATED) {
        assert!(name.starts_with("wsabi_"), "{name}");
    }
    let plain = declarations::plain(GENERATED);
    for declaration in plain.lines().filter(|line| line.starts_with("typedef")) {
        assert!(declaration.contains("wsabi_"), "{declaration}");
    }
    for end in plain.lines().filter_map(|line| line.strip_prefix('}')) {
        assert!(end.starts_with(" wsabi_"), "{end}");
    }
}

#[test]
fn everything_public_has_a_comment() {
    let lines: Vec<&str> = GENERATED.lines().collect();
    for pair in lines.windows(2) {
        let [before, line] = pair else {
            unreachable!("windows of two")
        };
        let begins = ["#define", "typedef", "int", "uint", "const"];
        let is_declaration = begins.iter().any(|begin| line.starts_with(begin));
        let is_field = line.starts_with("  ") && !line.starts_with("   ") && line.ends_with(';');
        let is_include_guard = *line == "#define WSABI_H";
        if (is_declaration || is_field) && !is_include_guard {
            assert!(before.ends_with("*/"), "nothing says what this is: {line}");
        }
    }
}

#[test]
fn comments_speak_to_readers_of_c_and_fit_the_screen() {
    for line in GENERATED.lines() {
        assert!(line.len() <= 80, "{} columns: {line}", line.len());
        let is_comment = line.trim_start().starts_with(['*', '/']);
        assert!(
            !is_comment || line.len() <= 76,
            "{} columns: {line}",
            line.len()
        );
        for word in [
            "# Safety", "`", "Option<", "panic", "trait", "crate::", "\t", "TODO",
        ] {
            assert!(!line.contains(word), "{word}: {line}");
        }
        assert!(line.is_ascii(), "{line}");
    }
}

/// A struct where pointers have 8 bytes.
struct Layout {
    name: &'static str,
    size: usize,
    offsets: &'static [(&'static str, usize)],
}

const LAYOUTS: [Layout; 3] = [
    Layout {
        name: "wsabi_event",
        size: 64,
        offsets: &[
            ("kind", 4),
            ("handle", 8),
            ("user_data", 16),
            ("data", 24),
            ("len", 32),
            ("type", 40),
            ("code", 44),
            ("was_clean", 48),
            ("value", 56),
        ],
    },
    Layout {
        name: "wsabi_message",
        size: 24,
        offsets: &[("len", 8), ("type", 16), ("reserved", 20)],
    },
    Layout {
        name: "wsabi_stats",
        size: 104,
        offsets: &[("reconnects", 4), ("bytes_sent", 8), ("upgrade_ns", 96)],
    },
];

fn compile(compiler: &str, language: &str, standard: &str, source: &Path) {
    let output = Command::new(compiler)
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"])
        .arg(format!("-std={standard}"))
        .arg(format!("-I{PACKAGE}/include"))
        .args(["-x", language])
        .arg(source)
        .output()
        .unwrap_or_else(|error| panic!("{compiler}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{compiler} -std={standard}: {said}"
    );
}

fn c_compiler() -> String {
    env::var("CC").unwrap_or_else(|_| "cc".to_owned())
}

fn cpp_compiler() -> String {
    env::var("CXX").unwrap_or_else(|_| "c++".to_owned())
}

/// A folder of its own for each test.
fn scratch(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("header")
        .join(test);
    fs::create_dir_all(&folder).unwrap();
    folder
}
