//! Which paths a file of Rust names, as far as its words show it: `use` trees, and paths that begin with `crate`, `self` or
//! `super`. Code that only tests contain is left out.
use std::collections::BTreeMap;

/// What one file names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// Every path, as it is written.
    pub(crate) paths: Vec<Vec<String>>,
    /// What a `use` calls the path behind it.
    pub(crate) aliases: BTreeMap<String, Vec<String>>,
    /// Modules of files that only tests contain.
    pub(crate) test_modules: Vec<String>,
}

/// Read a file.
pub(crate) fn read(text: &str) -> Named {
    let mut tokens = tokens(text);
    let mut named = Named::default();
    leave_out_tests(&mut tokens, &mut named.test_modules);
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let starts_path = matches!(token.as_str(), "crate" | "self" | "super")
            && tokens.get(at + 1).is_some_and(|t| t == "::")
            && (at == 0 || tokens[at - 1] != "::");
        if token == "use" {
            at = tree(&tokens, at + 1, &[], &mut named);
        } else if starts_path {
            let mut path = Vec::new();
            while let Some(word) = tokens.get(at).filter(|t| is_word(t)) {
                path.push(word.clone());
                at += 1;
                if tokens.get(at).is_none_or(|t| t != "::") {
                    break;
                }
                at += 1;
            }
            named.paths.push(path);
        } else {
            at += 1;
        }
    }
    named
}

/// The words of a file's code.
pub(crate) fn words(text: &str) -> Vec<String> {
    tokens(text).into_iter().filter(|token| is_word(token)).collect()
}

/// A tree of a `use`; gives the place after it.
fn tree(tokens: &[String], mut at: usize, before: &[String], named: &mut Named) -> usize {
    let mut path = before.to_vec();
    let mut alias = None;
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|t| t != "}") {
                    at = tree(tokens, at, &path, named);
                    at += usize::from(tokens.get(at).is_some_and(|t| t == ","));
                }
                return at + 1;
            }
            "as" => {
                alias = tokens.get(at + 1).cloned();
                at += 2;
            }
            word if is_word(word) => {
                // `use a::{self}` is `use a`.
                if word != "self" || path.is_empty() {
                    path.push(word.to_owned());
                }
                at += 1;
            }
            "::" | "*" => at += 1,
            _ => break,
        }
    }
    if let Some(name) = alias.or_else(|| path.last().cloned()) {
        named.aliases.insert(name, path.clone());
    }
    named.paths.push(path);
    at
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Words, `::`, and single signs. Comments, texts and characters are left out.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(len) = raw_text(rest).or_else(|| plain_text(rest)).or_else(|| character(rest)) {
            len
        } else if c.is_alphanumeric() || c == '_' {
            let len = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(rest[..len].to_owned());
            len
        } else if rest.starts_with("::") {
            tokens.push("::".into());
            2
        } else {
            if !c.is_whitespace() {
                tokens.push(c.into());
            }
            c.len_utf8()
        };
        rest = &rest[len..];
    }
    tokens
}

fn raw_text(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let inside = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(text.len() - inside.len() + inside.find(&end)? + end.len())
}

fn plain_text(text: &str) -> Option<usize> {
    let inside = text.strip_prefix("b\"").or_else(|| text.strip_prefix('"'))?;
    let mut escaped = false;
    let end = inside.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    Some(text.len() - inside.len() + end + 1)
}

/// `'x'` and `'\n'`, but no lifetime.
fn character(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    if let Some(escape) = inside.strip_prefix('\\') {
        let end = escape.char_indices().skip(1).find(|(_, c)| *c == '\'')?.0;
        return Some(2 + end + 1);
    }
    let len = inside.chars().next()?.len_utf8();
    inside[len..].starts_with('\'').then_some(1 + len + 1)
}

/// Take away what stands behind `#[cfg(test)]`.
fn leave_out_tests(tokens: &mut Vec<String>, modules: &mut Vec<String>) {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    while let Some(start) = tokens.windows(MARK.len()).position(|found| found.iter().eq(&MARK)) {
        let mut end = start + MARK.len();
        if tokens[end..].iter().take(8).any(|t| t == "mod") {
            let name = tokens[end..].iter().position(|t| t == "mod").map(|mod_| end + mod_ + 1);
            modules.extend(name.and_then(|name| tokens.get(name)).cloned());
        }
        let is_item = tokens[end..].iter().find(|t| *t != "pub").is_some_and(|t| {
            ["#", "mod", "use", "fn", "impl", "struct", "enum", "const", "static", "trait", "type", "unsafe"]
                .contains(&t.as_str())
        });
        let is_use = tokens[end..].iter().take_while(|t| *t != ";").any(|t| t == "use");
        let mut depth = 0_usize;
        while let Some(token) = tokens.get(end) {
            end += 1;
            match token.as_str() {
                "{" | "(" | "[" => depth += 1,
                ")" | "]" => depth = depth.saturating_sub(1),
                "}" => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 && !is_use {
                        break;
                    }
                }
                ";" if depth == 0 => break,
                "," if depth == 0 && !is_item => break,
                _ => {}
            }
        }
        tokens.drain(start..end);
    }
}
