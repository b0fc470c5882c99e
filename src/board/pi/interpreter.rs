//! What a script is run by: its first line names it. If that is wrong, the kernel only says that there is no such file.
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// Where programs are looked up, and all that a program finds in its environment beside `LANG` and the family's mark.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Bytes of the first line that the kernel reads (`BINPRM_BUF_SIZE`).
const LINE: u64 = 256;

/// Why this system can't run a program that is there; `None` if nothing speaks against it.
pub(super) fn problem(program: &str) -> Option<String> {
    let path = find(program)?;
    let mut head = Vec::new();
    File::open(&path).ok()?.take(LINE).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    let (line, has_return) = line.strip_suffix('\r').map_or((&*line, false), |line| (line, true));
    let mut words = line.split_ascii_whitespace();
    let interpreter = words.next()?;
    let script = path.display();
    if has_return {
        return Some(format!(
            "its lines end with CR LF, so that its interpreter would be \"{interpreter}\\r\": \
             `sed -i 's/\\r$//' {script}` converts it"
        ));
    }
    if !Path::new(interpreter).exists() {
        return Some(format!("its interpreter {interpreter} does not exist"));
    }
    // `env` looks for the interpreter itself.
    let by_env = Path::new(interpreter).file_name().is_some_and(|name| name == "env");
    let named = words.find(|word| !word.starts_with('-') && !word.contains('=')).filter(|_| by_env)?;
    find(named).is_none().then(|| format!("its interpreter {named} is not in {PATH}"))
}

fn find(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(program.into());
    }
    PATH.split(':').map(|folder| Path::new(folder).join(program)).find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn an_interpreter_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script");
        for (text, words) in [
            ("#!/bin/sh\ntrue\n", None),
            ("#! /bin/sh -e\n", None),
            ("#!/usr/bin/env sh\n", None),
            ("#!/usr/bin/env -S A=1 sh -e\n", None),
            ("true\n", None),
            ("", None),
            ("#!\n", None),
            ("#!/bin/sh\r\ntrue\r\n", Some("would be \"/bin/sh\\r\"")),
            ("#!/usr/bin/env sh\r\n", Some("CR LF")),
            ("#!/opt/gone/python3 -u\n", Some("interpreter /opt/gone/python3 does not exist")),
            ("#!/usr/bin/env gone-python3\n", Some("interpreter gone-python3 is not in /usr/local")),
        ] {
            std::fs::File::create(&path).and_then(|mut file| file.write_all(text.as_bytes())).unwrap();
            let said = problem(path.to_str().unwrap());
            match words {
                None => assert_eq!(said, None, "{text:?}"),
                Some(words) => {
                    assert!(said.as_ref().is_some_and(|said| said.contains(words)), "{text:?}: {said:?}");
                }
            }
        }
        assert_eq!(problem("/gone"), None, "what isn't there is another error");
        assert_eq!(problem("sh"), None);
    }
}
