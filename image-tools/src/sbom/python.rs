//! What pip says is installed: a file in each package's `*.dist-info` or `*.egg-info`.
use super::dpkg::fields;

/// Whether a file says what a Python package is: `NAME.dist-info/METADATA`, `NAME.egg-info/PKG-INFO`, or a file `NAME.egg-info`.
pub(super) fn is_metadata(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    match name {
        "METADATA" => folder.ends_with(".dist-info"),
        "PKG-INFO" => folder.ends_with(".egg-info"),
        _ => name.ends_with(".egg-info"),
    }
}

/// Name and version, which are among the headers: before the first empty line.
pub(super) fn package(text: &str) -> Option<(String, String)> {
    let text = text.replace("\r\n", "\n");
    let headers = fields(text.split("\n\n").next()?);
    Some(((*headers.get("Name")?).into(), (*headers.get("Version")?).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_has_its_place_and_its_headers() {
        for path in [
            "usr/lib/python3/dist-packages/six-1.16.0.egg-info",
            "opt/venv/lib/python3.11/site-packages/requests-2.31.0.dist-info/METADATA",
            "usr/local/lib/python3.11/dist-packages/a.egg-info/PKG-INFO",
        ] {
            assert!(is_metadata(path), "{path}");
        }
        for path in
            ["METADATA", "opt/METADATA", "opt/x.dist-info/RECORD", "opt/x.egg-info/requires.txt", "PKG-INFO"]
        {
            assert!(!is_metadata(path), "{path}");
        }
        let found =
            package("Metadata-Version: 2.1\r\nName: requests\r\nVersion: 2.31.0\r\n\r\nName: other\r\n");
        assert_eq!(found, Some(("requests".into(), "2.31.0".into())));
        for text in ["", "Name: a\n\nVersion: 1\n", "Version: 1\n", "\n\nName: a\nVersion: 1\n"] {
            assert_eq!(package(text), None, "{text:?}");
        }
    }
}
