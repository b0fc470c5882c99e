//! `metrics`: what a repository measures of itself.
use super::Out;
use super::place::Place;
use crate::answer::{Answer, Metrics, path_text};
use crate::error::Error;
use crate::output::{self, Access, Existing};
use crate::repository::metrics::Facts;
use crate::repository::roots::Roots;
use crate::repository::store::Missing;
use crate::size::Bytes;
use std::path::PathBuf;

/// Arguments of `metrics`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Replace this file at once instead of printing, for node-exporter: its folder has files `NAME.prom`
    #[arg(long, value_name = "FILE")]
    textfile: Option<PathBuf>,
    /// Size that all releases together may have, as with `prune`: 50G
    #[arg(long, value_name = "BYTES")]
    max_size: Option<Bytes>,
    #[command(flatten)]
    place: Place,
}

pub(crate) fn run(args: &Args, out: Out) -> Result<(), Error> {
    let store = args.place.open(Missing::Refuse)?;
    let roots = Roots::load(&store)?;
    let text = Facts::read(&store, &roots, args.max_size.map(|Bytes(n)| n))?.text();
    let Some(path) = &args.textfile else {
        return out.result(Answer::Metrics(Metrics { metrics: Some(text.clone()), file: None }), &text);
    };
    output::write(path, text.as_bytes(), Existing::Replace, Access::Public)?;
    out.result(Answer::Metrics(Metrics { metrics: None, file: Some(path_text(path)) }), "")
}
