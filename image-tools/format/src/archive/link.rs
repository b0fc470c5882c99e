//! Where a symbolic link may lead: into its own tree, whatever else is a link in it.
use super::LinkError;
use crate::{limits, text::is_printable};

/// Check the target of a link that lies `depth` folders below the root.
///
/// The folders above a link are folders and no links: the order of an archive sees to that. So `..` at the beginning of a
/// target leads to one of them, and each name that follows leads down, or is a link of which the same is true. A `..` after a name
/// could climb from where another link led to, so it is refused, wherever it would lead.
pub(super) fn check(target: &[u8], depth: usize) -> Result<(), LinkError> {
    if target.is_empty() {
        return Err(LinkError::Empty);
    }
    if target.len() > limits::ARCHIVE_PATH {
        return Err(LinkError::Long { bytes: target.len() });
    }
    let text = core::str::from_utf8(target).map_err(|_| LinkError::NotUtf8)?;
    if !is_printable(text, &[]) {
        return Err(LinkError::NotPrintable);
    }
    if text.starts_with('/') {
        return Err(LinkError::Absolute);
    }
    let (mut up, mut descended) = (0, false);
    for name in text.split('/') {
        match name {
            "" | "." => {}
            ".." if descended => return Err(LinkError::Climbs),
            ".." => up += 1,
            _ => descended = true,
        }
    }
    if up > depth { Err(LinkError::Escapes) } else { Ok(()) }
}
