//! Versions that an image brings along. They lie beside the others, each in the folder of its digest; which of them runs follows from the
//! slot that was booted, so the record knows nothing of them and no durable name leads to them.
use super::driver::Trust;
use crate::{
    Error,
    device::{Binding, bound_name},
    ports::{ComponentStore, Fault},
};
use bistable_format::{Bound, Release, release};

/// The release of a bound version that is complete on the device. `None` if there is none, or what is stored of it is not what the
/// image's release names: then it has to be staged again.
///
/// # Errors
/// When the store can't be read.
pub fn stored_bound(
    store: &mut dyn ComponentStore,
    trust: Trust<'_>,
    bound: &Bound,
) -> Result<Option<Release>, Error> {
    let (name, version) = (&bound.component, bound_name(bound));
    if !store.has(name, &version)? {
        return Ok(None);
    }
    let signed = match store.release(name, &version) {
        Err(e) if e.stopping().is_some() => return Err(e.into()),
        read => read,
    };
    let problem = match signed.map_err(Error::Fault) {
        Err(e) => e,
        Ok(signed) if release::identity(&signed) != bound.identity => {
            Error::NotNow("it is the release of another version".into())
        }
        Ok(signed) => match trust(&signed) {
            Ok(release) => return Ok(Some(release)),
            Err(e) => e,
        },
    };
    log::warn!(component = name.as_str(), version:% = bound.version, reason:% = problem; "bound_version_unusable");
    Ok(None)
}

/// Have the links of this boot lead to the versions that the booted image binds. Gives the components that are shown; of one that is
/// missing nothing is shown, and its service does not start.
///
/// # Errors
/// The first link that can't be written, after all others were.
pub fn show_bound(store: &mut dyn ComponentStore, binding: &Binding) -> Result<Vec<String>, Fault> {
    let (mut shown, mut problem) = (Vec::new(), None);
    for bound in &binding.bound {
        match show(store, bound) {
            Ok(true) => shown.push(bound.component.clone()),
            Ok(false) => {
                let (component, image) = (bound.component.as_str(), binding.image.as_str());
                log::warn!(component, version:% = bound.version, image; "bound_version_missing");
            }
            Err(e) => problem = problem.or(Some(e)),
        }
    }
    problem.map_or(Ok(shown), Err)
}

fn show(store: &mut dyn ComponentStore, bound: &Bound) -> Result<bool, Fault> {
    let version = bound_name(bound);
    let is_there = store.has(&bound.component, &version)?;
    let version = is_there.then_some(version);
    if store.shown(&bound.component)? != version {
        store.show(&bound.component, version.as_deref())?;
    }
    Ok(is_there)
}
