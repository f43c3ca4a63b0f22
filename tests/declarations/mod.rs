//! The declarations of a C header, read as simply as other languages' tools read them.
#![allow(dead_code, reason = "each test program uses a part of it")]

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

/// Each function that a header declares, with its parameters.
pub fn parameters(header: &str) -> Vec<(String, Vec<Parameter>)> {
    plain(header)
        .split(';')
        .filter(|declaration| !declaration.contains("typedef"))
        .filter_map(|declaration| {
            let name = words(declaration.split_once('(')?.0).last()?;
            let parameters = arguments(declaration).into_iter().map(Parameter::new);
            Some((name.to_owned(), parameters.collect()))
        })
        .collect()
}

/// A parameter of a function.
#[derive(Clone, Default)]
pub struct Parameter {
    /// With its type.
    pub text: String,
    pub name: String,
}

impl Parameter {
    fn new(text: &str) -> Self {
        let name = match text.split_once("(*") {
            Some((_, of_function)) => words(of_function).next(),
            None => words(text).last(),
        };
        Self {
            text: text.to_owned(),
            name: name.unwrap_or_default().to_owned(),
        }
    }

    /// Whether it is one, also one to a function.
    pub fn is_pointer(&self) -> bool {
        self.text.contains('*') || self.text.contains("handler ")
    }
}

/// What is between the first parenthesis of a text and the one that closes it, cut at its commas.
pub fn arguments(text: &str) -> Vec<&str> {
    let text = text.split_once('(').map_or("", |(_, after)| after);
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, char) in text.char_indices() {
        match char {
            '(' => depth += 1,
            ',' | ')' if depth == 0 => {
                found.push(text[start..at].trim());
                start = at + 1;
                if char == ')' {
                    break;
                }
            }
            ')' => depth -= 1,
            _ => {}
        }
    }
    found
}
