//! `offer`: a repository that was brought is looked at, and followed as far as the configuration follows its own.
use super::{Answer, By, Failed, Narrator, Work, Workplace};
use crate::{
    Error,
    app::{Offers, Request, Wanted},
    cli::OfferArgs,
    config::{Mode, load},
    events::Session,
    logging,
};

/// Report what the repository offers, and stage it unless the mode is `check`.
pub(super) fn run(
    workplace: &Workplace<'_>,
    OfferArgs { folder, channel }: &OfferArgs,
) -> Result<Answer, Failed> {
    let folder = folder.canonicalize().map_err(|source| Error::Open { path: folder.clone(), source })?;
    let name = folder.to_str().ok_or_else(|| Error::Usage("the folder's name is not UTF-8".into()))?;
    let offers = Offers { source: vec![name.into()], channel: channel.clone() };
    let mode = load(&workplace.root()).map_err(Error::Config)?.update.mode;
    let by = By { source: "offer", ..By::cli() };
    let ask = |request| {
        let session = logging::session();
        let session = Session { id: session.into(), request: session.into() };
        workplace.work(&Work::Ask(request), &by, session, None, &mut Narrator::new(workplace.at))
    };
    let checked = ask(Request::Check(offers.clone()))?;
    match mode {
        Mode::Check => Ok(checked),
        Mode::Stage | Mode::Reboot | Mode::Auto => {
            ask(Request::Install(Wanted { offers, ..Wanted::default() }))
        }
    }
}
