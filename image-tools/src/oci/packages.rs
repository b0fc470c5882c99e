//! Which packages are in an image: what its layers say, one over the other.
use super::error::OciError;
use super::layer::Layer;
use crate::sbom::Evidence;
use crate::volume::tree::{Kind, Tree};
use crate::volume::{VolumeError, open_layer, packages};
use std::convert::Infallible;
use tempfile::NamedTempFile;

/// What the name of a file begins with that deletes another one of the layers below.
const WHITEOUT: &str = ".wh.";
/// Deletes all that the layers below have in the folder.
const OPAQUE: &str = ".wh..wh..opq";

/// What says which packages are in an image of these layers, the lowest first.
///
/// # Errors
/// A layer that isn't a tar that can be read.
pub(crate) fn evidence<'a>(layers: impl IntoIterator<Item = &'a Layer>) -> Result<Evidence, OciError> {
    let mut evidence = Evidence::default();
    for layer in layers {
        let folder = std::env::temp_dir();
        let mut file =
            NamedTempFile::new_in(&folder).map_err(VolumeError::io("make a temporary file in", &folder))?;
        layer.write_to(file.as_file_mut())?;
        let tree = open_layer(file.path())?;
        cover(&tree, &mut evidence);
        packages::add(&tree, &mut evidence)?;
    }
    Ok(evidence)
}

/// A layer's files take the places of those below it, and some only delete.
fn cover(layer: &Tree, evidence: &mut Evidence) {
    let walked = layer.walk(|path, _, _, id| {
        let Ok(path) = std::str::from_utf8(path) else { return Ok(()) };
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if name == OPAQUE {
            evidence.delete_below(folder);
        } else if let Some(gone) = name.strip_prefix(WHITEOUT) {
            evidence.delete(&if folder.is_empty() { gone.into() } else { format!("{folder}/{gone}") });
        } else if !matches!(layer.node(id).kind, Kind::Folder(_)) {
            evidence.delete(path);
        }
        Ok::<_, Infallible>(())
    });
    // Nothing in it fails.
    let _ = walked;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;
    use std::path::Path;

    #[expect(clippy::disallowed_methods, reason = "a test's own file need not be durable")]
    fn tree(folder: &Path, files: &[(&str, &str)]) -> Tree {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, path, Cursor::new(text)).unwrap();
        }
        let path = folder.join("layer.tar");
        std::fs::write(&path, tar.into_inner().unwrap()).unwrap();
        open_layer(&path).unwrap()
    }

    #[test]
    fn the_upper_layer_counts() {
        let folder = tempfile::tempdir().unwrap();
        let status =
            |version: &str| format!("Package: curl\nStatus: install ok installed\nVersion: {version}\n");
        let (old, new) = (status("1"), status("2"));
        let six = "Name: six\nVersion: 1.16\n\n";
        let lower = [("var/lib/dpkg/status", old.as_str()), ("opt/a/six.dist-info/METADATA", six)];
        for (upper, wanted) in [
            (&[("etc/motd", "x")][..], "curl 1, six 1.16"),
            (&[("var/lib/dpkg/status", new.as_str())], "curl 2, six 1.16"),
            (&[("opt/a/.wh.six.dist-info", "")], "curl 1"),
            (&[("opt/.wh..wh..opq", "")], "curl 1"),
            (&[("opt/.wh..wh..opq", ""), ("opt/b/six.dist-info/METADATA", six)], "curl 1, six 1.16"),
            (&[(".wh.opt", ""), (".wh.var", "")], ""),
            // A file where a folder was.
            (&[("opt", "x")], "curl 1"),
        ] {
            let mut evidence = Evidence::default();
            for files in [&lower[..], upper] {
                let tree = tree(folder.path(), files);
                cover(&tree, &mut evidence);
                packages::add(&tree, &mut evidence).unwrap();
            }
            let found = evidence.found().components;
            let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(shown.join(", "), wanted, "{upper:?}");
        }
    }
}
