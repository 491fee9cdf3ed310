//! docs/PROTOCOL.md, taken apart: its test vectors and its tables.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;

const PAGE: &str = include_str!("../../docs/PROTOCOL.md");

/// The bytes in the blocks marked `hex NAME`.
pub fn vectors() -> BTreeMap<String, Vec<u8>> {
    let byte = |text: &str| u8::from_str_radix(text, 16).unwrap_or_else(|_| panic!("{text:?} is no byte"));
    blocks("hex").map(|(name, text)| (name, text.split_whitespace().map(byte).collect())).collect()
}

/// The lines in the blocks marked `text NAME`; those without a name are pictures.
pub fn texts() -> BTreeMap<String, String> {
    blocks("text").filter(|(name, _)| !name.is_empty()).collect()
}

/// The cells of the table whose heading begins with this cell, a row each.
pub fn table(heading: &str) -> Vec<Vec<String>> {
    let begins = |line: &&str| cells(line).first().is_some_and(|cell| cell == heading);
    let mut lines = PAGE.lines().skip_while(|line| !begins(line));
    assert!(lines.next().is_some(), "the page has no table {heading:?}");
    lines.skip(1).map_while(|line| line.starts_with('|').then(|| cells(line))).collect()
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.strip_prefix('|').and_then(|line| line.strip_suffix('|')).unwrap_or_default();
    inner.split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// Every block of this language: what stands behind the language, and its lines without their indent.
fn blocks(language: &'static str) -> impl Iterator<Item = (String, String)> {
    let mut names = std::collections::BTreeSet::new();
    let mut lines = PAGE.lines().map(str::trim_start);
    std::iter::from_fn(move || {
        loop {
            let opening = lines.by_ref().find_map(|line| line.strip_prefix("```"))?;
            let text: String =
                lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
            let (found, name) = opening.split_once(' ').unwrap_or((opening, ""));
            if found == language {
                assert!(name.is_empty() || names.insert(name), "two blocks are called {name:?}");
                return Some((name.to_owned(), text));
            }
        }
    })
}
