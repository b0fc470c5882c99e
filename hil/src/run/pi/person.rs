//! The person at the bench.
use anyhow::{Context as _, Result, bail};
use std::io::{self, BufRead as _, Write as _};

/// A person at the bench.
pub trait Person {
    /// Ask for something, and come back when it is done.
    ///
    /// # Errors
    /// When it isn't done.
    fn please(&mut self, text: &str) -> Result<()>;
}

/// Whoever sits at the terminal.
#[derive(Clone, Copy, Debug)]
pub struct AtTerminal;

impl Person for AtTerminal {
    fn please(&mut self, text: &str) -> Result<()> {
        let mut line = String::new();
        write!(io::stderr(), "\n>>> {text}. Then press Enter: ").context("asking")?;
        let read = io::stdin().lock().read_line(&mut line).context("reading the answer")?;
        if read == 0 { bail!("nobody is there to do this: {text}") } else { Ok(()) }
    }
}

/// No person.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Person for Nobody {
    fn please(&mut self, text: &str) -> Result<()> {
        bail!("with --no-hands nobody does this: {text}")
    }
}
