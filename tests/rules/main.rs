//! The repository's rules, held by a test: which module may import which, how long a file may be,
//! what the pure model must not touch, and words that must not be committed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 450;

/// Which modules a module may name with `crate::`. A module may always name itself.
const IMPORTS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("config", &["model"]),
    ("origin", &["model"]),
    ("segments", &["model"]),
    ("store", &["model"]),
    ("audience", &["model"]),
    ("packagers", &["model", "origin"]),
    ("stream", &["model", "packagers", "origin", "segments", "store"]),
    ("peers", &["model", "origin", "segments", "store", "stream"]),
    ("front", &["model", "packagers", "segments", "stream"]),
    ("ops", &["model", "packagers", "stream"]),
    ("demo", &["model", "config"]),
    ("outside", &["model"]),
    ("notify", &["model", "outside"]),
    ("watch", &["model", "outside"]),
    ("probe", &["model", "outside"]),
    ("cli", &["config"]),
];

/// Files at the root of `src/` that put things together.
const ROOTS: &[&str] = &["lib", "main", "app"];

/// What the pure model must not touch: time, I/O and scheduling come in as values.
const IMPURE: &[&str] = &[
    "Instant::now",
    "SystemTime",
    "std::fs",
    "std::net",
    "std::io",
    "std::thread",
    "std::env",
    "std::process",
    "tokio",
    "async ",
    ".await",
    "tracing",
    "println!",
    "rand::",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `folder` for which `wanted` holds, in order.
fn files(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let skipped = ["target", "node_modules", ".git"];
    let skips = |name: &std::ffi::OsStr| skipped.iter().any(|s| name == *s);
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            let kind = entry.file_type().unwrap();
            if skips(&name) {
                continue;
            }
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() && wanted(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn rust(folder: &str) -> Vec<PathBuf> {
    files(&root().join(folder), &|p| p.extension().is_some_and(|e| e == "rs"))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// The source without comments and string literals, so that words in them count for nothing.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    for line in text.lines() {
        let mut in_string = false;
        let mut last = ' ';
        for (i, c) in line.char_indices() {
            if !in_string && line[i..].starts_with("//") {
                break;
            }
            // A quote in a character literal is no string.
            if c == '"' && last != '\\' && !(last == '\'' && line[i + 1..].starts_with('\'')) {
                in_string = !in_string;
            } else if !in_string {
                code.push(c);
            }
            last = c;
        }
        code.push('\n');
    }
    code
}

/// The top modules that `code` names: after `crate::`, in groups too.
fn named(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            names.extend(group_heads(group));
        } else {
            names.push(ident(rest));
        }
    }
    names
}

/// The first word of each member of `{a::b, c::{d, e}}`, the opening brace taken off.
fn group_heads(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let (mut depth, mut begin) = (1, 0);
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && c == ',') {
            heads.push(ident(group[begin..i].trim_start()));
            begin = i + 1;
        }
        if depth == 0 {
            break;
        }
    }
    heads.retain(|h| !h.is_empty());
    heads
}

fn ident(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The module below `src/` that a file belongs to.
fn module_of(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let mut broken = Vec::new();
    for path in rust("src") {
        let module = module_of(&path);
        if ROOTS.contains(&module.as_str()) {
            continue;
        }
        let Some((_, allowed)) = IMPORTS.iter().find(|(m, _)| *m == module) else {
            broken.push(format!("{}: {module} is not in the table", shown(&path)));
            continue;
        };
        let code = code_of(&fs::read_to_string(&path).unwrap());
        for name in named(&code) {
            if name != module && !allowed.contains(&name.as_str()) {
                broken.push(format!("{}: {module} must not name crate::{name}", shown(&path)));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn the_table_is_the_one_that_is_written_down() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for (module, allowed) in IMPORTS {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{module}/` |")));
        let row = row.unwrap_or_else(|| panic!("{module}/ is not in ARCHITECTURE.md"));
        let written = row.trim_matches(['|', ' ']).rsplit('|').next().unwrap().trim();
        let allowed =
            if allowed.is_empty() { "nothing of ours".to_owned() } else { allowed.join(", ") };
        assert_eq!(written, allowed, "{module}");
    }
}

#[test]
fn prose_is_at_most_120_columns_wide() {
    let mut broken = Vec::new();
    for path in files(root(), &|p| p.extension().is_some_and(|e| e == "md")) {
        let text = fs::read_to_string(&path).unwrap();
        let mut fenced = false;
        for (at, line) in text.lines().enumerate() {
            fenced ^= line.starts_with("```");
            let prose = !fenced && !line.starts_with('|') && !line.starts_with("    ");
            if prose && line.chars().count() > 120 {
                broken.push(format!("{}:{}", shown(&path), at + 1));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn files_are_short_and_open_with_what_they_hold() {
    let mut broken = Vec::new();
    for path in rust("src").into_iter().chain(rust("tests")) {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().count();
        if path.starts_with(root().join("src")) && lines > LINES_MAX {
            broken.push(format!("{}: {lines} lines, {LINES_MAX} at most", shown(&path)));
        }
        if !text.starts_with("//!") {
            broken.push(format!("{}: does not open with //!", shown(&path)));
        }
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        if ["utils", "util", "common", "helpers", "misc"].contains(&stem.as_str()) {
            broken.push(format!("{}: {stem} says nothing", shown(&path)));
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn the_model_is_pure() {
    let mut broken = Vec::new();
    for path in rust("src/model") {
        let code = code_of(&fs::read_to_string(&path).unwrap());
        for (number, line) in code.lines().enumerate() {
            for word in IMPURE.iter().filter(|w| line.contains(**w)) {
                broken.push(format!("{}:{}: {word}", shown(&path), number + 1));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn nothing_names_a_machine_or_a_registry() {
    // Put together here, so that this file does not name them either.
    let folders = ["work", "root", "home"].map(|f| format!("/{f}/"));
    let hosts =
        [["registry.npm", "js.org"], ["crates", ".io"], ["pypi", ".org"]].map(|h| h.concat());
    let text_files = |p: &Path| {
        let known = [
            "rs", "toml", "lock", "json", "md", "yaml", "yml", "mjs", "js", "html", "css", "sh",
            "conf",
        ];
        let extension = p.extension().map(|e| e.to_string_lossy().into_owned());
        extension.is_none_or(|e| known.contains(&e.as_str()))
    };
    let mut broken = Vec::new();
    for path in files(root(), &text_files) {
        // What is not text names nothing.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let lock = path.file_name().is_some_and(|n| n == "Cargo.lock");
        for (number, line) in text.lines().enumerate() {
            let usual = lock && line.starts_with("source = ");
            let found = folders.iter().chain(&hosts).find(|w| line.contains(w.as_str()));
            if let Some(word) = found.filter(|_| !usual) {
                broken.push(format!("{}:{}: {word}", shown(&path), number + 1));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn imports_are_read_in_every_form() {
    let code = code_of(
        "use crate::model::{lane, names};\nuse crate::{origin::Origin, store::{A, B}};\n\
         fn f() -> crate::segments::Segments { \"crate::front\" } // crate::ops\n",
    );
    assert_eq!(named(&code), ["model", "origin", "store", "segments"]);
}
