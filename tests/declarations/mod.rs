//! The declarations of a C header, read as simply as other languages' tools read them.

/// What is left of a header without comments, preprocessor lines, and what only C++ sees.
pub fn plain(header: &str) -> String {
    let mut text = String::new();
    let mut rest = header;
    while let Some((before, after)) = rest.split_once("/*") {
        text.push_str(before);
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    text.push_str(rest);

    let mut plain = String::new();
    let mut is_cplusplus = false;
    for line in text.lines() {
        match line {
            "#ifdef __cplusplus" => is_cplusplus = true,
            "#endif" => is_cplusplus = false,
            _ if is_cplusplus || line.starts_with('#') => {}
            _ => {
                plain.push_str(line);
                plain.push('\n');
            }
        }
    }
    plain
}

/// The words of a text: names and numbers.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_'))
        .filter(|word| !word.is_empty())
}

/// The functions that a header declares, in its order.
pub fn functions(header: &str) -> Vec<String> {
    plain(header)
        .split(';')
        .filter(|declaration| !declaration.contains("typedef"))
        .filter_map(|declaration| words(declaration.split_once('(')?.0).last())
        .map(str::to_owned)
        .collect()
}
