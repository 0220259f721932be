//! Holds the line between the modules: each imports only from those above it in the table of `src/lib.rs`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest file, in lines; a longer one is split, or is a list and says so here.
const LONGEST_FILE: usize = 700;

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).expect("src is readable") {
            let path = entry.expect("src is readable").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).expect("a source file is text");
                found.push((
                    path.strip_prefix(src()).expect("below src").to_owned(),
                    text,
                ));
            }
        }
    }
    let mut found = Vec::new();
    walk(&src(), &mut found);
    found.sort();
    found
}

/// The modules in the order of the table in `src/lib.rs`.
fn order() -> Vec<String> {
    let text = fs::read_to_string(src().join("lib.rs")).expect("src/lib.rs is there");
    let name = |line: &str| {
        Some(
            line.strip_prefix("//! | [`")?
                .split_once("`]")?
                .0
                .to_owned(),
        )
    };
    text.lines().filter_map(name).collect()
}

/// The code without comments, and with strings and characters blanked; line breaks stay.
fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut i = 0;
    while i < chars.len() {
        let word_before = i > 0 && (at(i - 1).is_alphanumeric() || at(i - 1) == '_');
        match at(i) {
            '/' if at(i + 1) == '/' => {
                while i < chars.len() && at(i) != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => {
                let mut depth = 0;
                loop {
                    match (at(i), at(i + 1)) {
                        ('/', '*') => (depth, i) = (depth + 1, i + 2),
                        ('*', '/') => (depth, i) = (depth - 1, i + 2),
                        _ => i += 1,
                    }
                    if depth == 0 || i >= chars.len() {
                        break;
                    }
                }
            }
            'r' if !word_before
                && (at(i + 1) == '"' || (at(i + 1) == '#' && matches!(at(i + 2), '#' | '"'))) =>
            {
                let hashes = chars[i + 1..].iter().take_while(|c| **c == '#').count();
                let end: String = std::iter::once('"')
                    .chain(std::iter::repeat_n('#', hashes))
                    .collect();
                let rest: String = chars[i + 2 + hashes..].iter().collect();
                let length = rest.find(&end).map_or(rest.len(), |p| p + end.len());
                code.extend(rest[..length].chars().filter(|c| *c == '\n'));
                i += 2 + hashes + rest[..length].chars().count();
            }
            '"' => {
                i += 1;
                while i < chars.len() && at(i) != '"' {
                    if at(i) == '\n' {
                        code.push('\n');
                    }
                    i += if at(i) == '\\' { 2 } else { 1 };
                }
                i += 1;
            }
            // A character, not a lifetime.
            '\'' if at(i + 1) == '\\' => {
                i += 3;
                while i < chars.len() && at(i) != '\'' {
                    i += 1;
                }
                i += 1;
            }
            '\'' if at(i + 2) == '\'' => i += 3,
            c => {
                code.push(c);
                i += 1;
            }
        }
    }
    code
}

fn word(text: &str) -> &str {
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    &text[..end]
}

/// First names of a use tree: of `{a::b, c::{d, e}, f}` a, c and f; of `a::b` a.
fn heads(text: &str) -> Vec<String> {
    let text = text.trim_start();
    let Some(group) = text.strip_prefix('{') else {
        return vec![word(text).to_owned()];
    };
    let mut depth = 0;
    let mut heads = Vec::new();
    let mut wanted = true;
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => wanted = true,
            c if wanted && (c.is_alphanumeric() || c == '_') => {
                heads.push(word(&group[i..]).to_owned());
                wanted = false;
            }
            _ => {}
        }
    }
    heads
}

/// Modules that the code names: behind `crate::`, and behind as many `super::` as lead from the file to the crate's root.
fn imports(path: &Path, code: &str, modules: &[String]) -> BTreeSet<(usize, String)> {
    let line = |at: usize| 1 + code[..at].matches('\n').count();
    let is_start = |at: usize| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    let mut found = BTreeSet::new();
    for (at, path) in code.match_indices("crate::") {
        if is_start(at) {
            found.extend(
                heads(&code[at + path.len()..])
                    .into_iter()
                    .map(|head| (line(at), head)),
            );
        }
    }
    let is_mod = path.file_stem().is_some_and(|s| s == "mod");
    let depth = path.components().count() - usize::from(is_mod);
    let to_root = "super::".repeat(depth);
    for (at, chain) in code.match_indices(&to_root) {
        if is_start(at) && !code[..at].ends_with("super::") {
            let known = heads(&code[at + chain.len()..])
                .into_iter()
                .filter(|head| modules.contains(head));
            found.extend(known.map(|head| (line(at), head)));
        }
    }
    found
}

#[test]
fn modules_import_only_from_those_above_them() {
    let order = order();
    let rank = |name: &str| order.iter().position(|m| m == name);
    let mut wrong = Vec::new();
    for (path, text) in files() {
        let Some(module) = path
            .components()
            .next()
            .map(|c| c.as_os_str().to_string_lossy().into_owned())
        else {
            continue;
        };
        let Some(own) = rank(&module) else {
            assert!(
                ["lib.rs", "main.rs"].contains(&module.as_str()),
                "src/{module} is in no row of the table in src/lib.rs"
            );
            continue;
        };
        for (line, name) in imports(&path, &code_only(&text), &order) {
            match rank(&name) {
                Some(theirs) if theirs <= own => {}
                Some(_) => wrong.push(format!(
                    "src/{}:{line}: '{module}' imports '{name}', which stands below it",
                    path.display()
                )),
                None => wrong.push(format!(
                    "src/{}:{line}: '{name}' is no module of the table",
                    path.display()
                )),
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "see the table in src/lib.rs:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_table_lists_every_module() {
    let listed: BTreeSet<String> = order().into_iter().collect();
    assert_eq!(
        listed.len(),
        order().len(),
        "a module stands in the table twice"
    );
    let folders: BTreeSet<String> = fs::read_dir(src())
        .expect("src is readable")
        .map(|entry| entry.expect("src is readable").path())
        .filter(|path| path.is_dir())
        .map(|path| {
            path.file_name()
                .expect("a folder has a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    assert_eq!(listed, folders);
}

#[test]
fn no_file_is_longer_than_a_reader_can_keep_in_mind() {
    let long: Vec<String> = files()
        .iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, n)| *n > LONGEST_FILE)
        .map(|(path, n)| format!("src/{}: {n} lines", path.display()))
        .collect();
    assert!(
        long.is_empty(),
        "more than {LONGEST_FILE} lines:\n{}",
        long.join("\n")
    );
}

#[test]
fn only_the_command_line_prints() {
    let mut wrong = Vec::new();
    for (path, text) in files() {
        let code = code_only(&text);
        // A second Ctrl-C ends the process where it is; only the command line may do that.
        let in_cli = path.starts_with("cli");
        for name in [
            "print!",
            "println!",
            "eprint!",
            "eprintln!",
            "dbg!",
            "process::exit",
        ] {
            let mut calls = code.match_indices(name).filter(|(at, _)| {
                !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
            });
            if let Some((at, _)) = calls.next()
                && !(in_cli && name == "process::exit")
            {
                wrong.push(format!(
                    "src/{}:{}: {name}",
                    path.display(),
                    1 + code[..at].matches('\n').count()
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "print through src/cli/output.rs:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_reader_of_imports_reads_imports() {
    let text = "use crate::{a::{b, c}, d};\n// use crate::e;\nlet s = \"crate::f\"; let t = r#\"crate::g \"x\" \"#; let c = '\"';\n\
        fn x<'a>(h: &'a crate::i::J) { super::super::k::l() }\nuse my_crate::m;\n";
    let modules = ["k".to_owned()];
    let found: Vec<String> = imports(Path::new("z/y.rs"), &code_only(text), &modules)
        .into_iter()
        .map(|(l, n)| format!("{l} {n}"))
        .collect();
    assert_eq!(found, ["1 a", "1 d", "4 i", "4 k"]);
}
