//! Generates the C header from src/ffi, and names the shared library.

use std::path::{Path, PathBuf};
use std::{env, fs};

use cbindgen::{Builder, Config};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=cbindgen.toml");
    println!("cargo:rerun-if-changed=include/wsabi.h");
    println!("cargo:rerun-if-changed=src/ffi");
    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let header = header(&package);
    let generated = Path::new(&variable("OUT_DIR")).join("wsabi.h");
    fs::write(generated, &header).expect("OUT_DIR can be written to");
    compare(&package.join("include/wsabi.h"), &header);
    name_library();
}

/// The text of include/wsabi.h: the module documentation of src/ffi/mod.rs, and a section for each
/// of its public modules.
fn header(package: &Path) -> String {
    let config = Config::from_file(package.join("cbindgen.toml")).expect("cbindgen.toml is valid");
    let folder = package.join("src/ffi");
    let root = read(&folder.join("mod.rs"));
    let mut header = comment(&module_docs(&root));
    header.push_str(BEGINNING);
    for name in root
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
    {
        let file = folder.join(name).with_extension("rs");
        header.push_str(&section(&file, &config));
    }
    header.push_str(END);
    header
}

fn section(file: &Path, config: &Config) -> String {
    let source = read(file);
    let bindings = Builder::new()
        .with_config(config.clone())
        .with_src(file)
        .generate()
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut declarations = Vec::new();
    bindings.write(&mut declarations);
    let declarations = String::from_utf8(declarations).expect("cbindgen writes UTF-8");
    let declarations = condensed(&without_safety(&declarations));
    format!(
        "\n{}\n{}\n",
        comment(&module_docs(&source)),
        declarations.trim()
    )
}

/// The lines of `//!` at the beginning of a file. Code is indented, and loses its marks.
fn module_docs(source: &str) -> Vec<String> {
    let mut docs = Vec::new();
    let mut indent = "";
    for line in source.lines().map_while(|line| line.strip_prefix("//!")) {
        let line = line.strip_prefix(' ').unwrap_or(line);
        if line.starts_with("```") {
            indent = if indent.is_empty() { "    " } else { "" };
        } else {
            docs.push(format!("{indent}{line}"));
        }
    }
    docs
}

fn comment(lines: &[String]) -> String {
    let rule = "=".repeat(70);
    let mut text = format!("/* {rule}\n");
    for line in lines {
        text.push_str(format!(" * {line}").trim_end());
        text.push('\n');
    }
    text.push_str(&format!(" * {rule} */\n"));
    text
}

/// What stands under "# Safety" tells Rust what a C reader takes for granted: that pointers point
/// to something.
fn without_safety(declarations: &str) -> String {
    let mut kept = String::new();
    let mut is_safety = false;
    for line in declarations.lines() {
        if line == " * # Safety" {
            is_safety = true;
            // The empty line before it.
            kept.truncate(kept.trim_end_matches("\n *\n").len());
            kept.push('\n');
        }
        if line == " */" {
            is_safety = false;
        }
        if !is_safety {
            kept.push_str(line.trim_end());
            kept.push('\n');
        }
    }
    kept
}

/// Comments of one line, where they fit, take one line. No two empty lines follow each other.
fn condensed(declarations: &str) -> String {
    let lines: Vec<&str> = declarations.lines().collect();
    let mut text = String::new();
    let mut rest = lines.as_slice();
    while let [line, after @ ..] = rest {
        rest = after;
        let indent = line.len() - line.trim_start().len();
        if line.trim_start() == "/**"
            && let [sentence, end, after @ ..] = after
            && end.trim_start() == "*/"
            && sentence.len() + "* */".len() <= WIDTH
        {
            let sentence = sentence.trim_start().trim_start_matches("* ");
            text.push_str(&format!("{:indent$}/** {sentence} */\n", ""));
            rest = after;
        } else if !(line.is_empty() && text.ends_with("\n\n")) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// Writes the committed header if it is missing, and says if it is stale. The source of a package
/// may be read-only, and needs neither.
fn compare(committed: &Path, header: &str) {
    match fs::read_to_string(committed) {
        Ok(text) if text == header => {}
        Ok(_) => println!(
            "cargo:warning=include/wsabi.h is stale: WSABI_BLESS=1 cargo test --test header"
        ),
        Err(_) => {
            let _ = fs::create_dir_all(committed.parent().unwrap_or(committed));
            let _ = fs::write(committed, header);
        }
    }
}

/// The name under which programs look for the shared library: while the major version is 0, a
/// minor one may change the interface.
fn name_library() {
    let (major, minor) = (
        variable("CARGO_PKG_VERSION_MAJOR"),
        variable("CARGO_PKG_VERSION_MINOR"),
    );
    let version = if major == "0" {
        format!("0.{minor}")
    } else {
        major
    };
    let argument = |argument: String| println!("cargo:rustc-cdylib-link-arg=-Wl,{argument}");
    if variable("CARGO_CFG_TARGET_VENDOR") == "apple" {
        argument(format!("-install_name,@rpath/libwsabi.{version}.dylib"));
    } else if env::var_os("CARGO_CFG_UNIX").is_some() {
        argument(format!("-soname,libwsabi.so.{version}"));
        // Threads of the library may still run when a host unloads it.
        argument("-z,nodelete".to_owned());
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The longest comment line.
const WIDTH: usize = 76;

const BEGINNING: &str = "
#ifndef WSABI_H
#define WSABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern \"C\" {
#endif
";

const END: &str = "
#ifdef __cplusplus
}
#endif

#endif /* WSABI_H */
";
