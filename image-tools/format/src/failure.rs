//! How both programs report a failure: the chain of its causes, and whether a program asked.
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::error::Error;

/// An error and what caused it, the outermost first. A cause that the texts before it repeat is left out.
pub fn causes(error: &dyn Error) -> Vec<String> {
    let mut all = Vec::from([error.to_string()]);
    let mut cause = error.source();
    while let Some(e) = cause {
        let text = e.to_string();
        if !all.iter().any(|before| before.contains(&text)) {
            all.push(text);
        }
        cause = e.source();
    }
    all
}

/// An error and what caused it on one line: for JSON, reports and logs.
pub fn on_one_line(error: &dyn Error) -> String {
    causes(error).join(": ")
}

/// An error and what caused it, each cause on a line of its own: for standard error.
pub fn on_lines(error: &dyn Error) -> String {
    causes(error).join("\n  caused by: ")
}

/// Whether a command line that was not understood asks for JSON: this much of it can be seen.
pub fn asks_for_json<A: PartialEq<str>>(args: &[A]) -> bool {
    args.iter().take_while(|arg| **arg != *"--").any(|arg| *arg == *"--json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        source: Option<alloc::boxed::Box<Link>>,
    }

    fn chain(texts: &[&'static str]) -> Link {
        let (text, rest) = texts.split_first().unwrap();
        let source = (!rest.is_empty()).then(|| alloc::boxed::Box::new(chain(rest)));
        Link { text, source }
    }

    #[test]
    fn each_cause_is_reported_once() {
        for (texts, all) in [
            (&["alone"][..], &["alone"][..]),
            (&["can't read x", "no such file"], &["can't read x", "no such file"]),
            (
                &["can't read x: no such file", "no such file", "os error 2"],
                &["can't read x: no such file", "os error 2"],
            ),
            (&["a", "b", "a"], &["a", "b"]),
        ] {
            assert_eq!(causes(&chain(texts)), all);
        }
        let error = chain(&["a", "b", "c"]);
        assert_eq!(on_one_line(&error), "a: b: c");
        assert_eq!(on_lines(&error), "a\n  caused by: b\n  caused by: c");
    }

    #[test]
    fn json_is_asked_for_before_the_end_of_options() {
        for (args, asks) in [
            (&["x", "--json"][..], true),
            (&["x", "--json", "--", "y"], true),
            (&["x", "--", "--json"], false),
            (&["x", "--jsonp"], false),
            (&[], false),
        ] {
            let args: Vec<String> = args.iter().map(ToString::to_string).collect();
            assert_eq!(asks_for_json(&args), asks, "{args:?}");
        }
    }
}
