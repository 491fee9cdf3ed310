//! Lists as Python's `ascii()` writes them, for `ast.literal_eval`.
//!
//! All of it is printable ASCII. A client may cut what it reads anywhere and decode the pieces, and no message moves
//! the cursor of a terminal. Nor is there a `%`, which would end the answer.

use std::fmt::Write;

use crate::protocol::END;

/// `[(1, 'hello'), (2, 'world')]`
pub fn list<'a>(messages: impl IntoIterator<Item = (i64, &'a str)>) -> String {
    let mut out = String::from("[");
    for (id, text) in messages {
        if out.len() > 1 {
            out.push_str(", ");
        }
        out.push('(');
        out.push_str(&id.to_string());
        out.push_str(", ");
        string(text, &mut out);
        out.push(')');
    }
    out.push(']');
    out
}

/// The longest that a list of so many messages can be, each of up to `longest` bytes: what has one byte takes up to four
/// (`\x00`), and an id up to 20.
pub fn longest_list(messages: u32, longest: u32) -> u32 {
    messages.saturating_mul(longest.saturating_mul(4).saturating_add(28)).saturating_add(2)
}

/// In single quotes, unless that is what the text has and double quotes it has not.
fn string(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    text.chars().for_each(|c| character(c, quote, out));
    out.push(quote);
}

fn character(c: char, quote: char, out: &mut String) {
    let written = match c {
        '\t' => out.write_str("\\t"),
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\\' => out.write_str("\\\\"),
        // No client can post one, but whoever edits the database can put one there.
        _ if c == char::from(END) => write!(out, "\\x{END:02x}"),
        _ if c == quote => write!(out, "\\{c}"),
        ' '..='~' => out.write_char(c),
        '\0'..='\u{ff}' => write!(out, "\\x{:02x}", u32::from(c)),
        '\u{100}'..='\u{ffff}' => write!(out, "\\u{:04x}", u32::from(c)),
        _ => write!(out, "\\U{:08x}", u32::from(c)),
    };
    // Writing to a string cannot fail.
    debug_assert!(written.is_ok());
}
