//! What dpkg says is installed: `/var/lib/dpkg/status`, or a file for each package in `status.d`, as small container images have it.
use std::collections::BTreeMap;

/// An installed package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deb {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) architecture: Option<String>,
}

/// The installed packages of a status file. One whose files were removed or never unpacked is not installed.
pub(super) fn installed(text: &str) -> Vec<Deb> {
    let paragraphs = text.split("\n\n").map(fields);
    let is_installed = |paragraph: &BTreeMap<&str, &str>| {
        // `want flag status`; the files of `status.d` have no such line.
        paragraph.get("Status").is_none_or(|status| {
            matches!(
                status.split_ascii_whitespace().nth(2),
                Some("installed" | "unpacked" | "half-configured" | "triggers-awaited" | "triggers-pending")
            )
        })
    };
    paragraphs
        .filter(is_installed)
        .filter_map(|paragraph| {
            Some(Deb {
                name: (*paragraph.get("Package")?).into(),
                version: (*paragraph.get("Version")?).into(),
                architecture: paragraph.get("Architecture").map(|text| (*text).into()),
            })
        })
        .collect()
}

/// The fields of a paragraph, each by its first line: none of those that are looked at has more.
pub(super) fn fields(paragraph: &str) -> BTreeMap<&str, &str> {
    let lines = paragraph.lines().filter(|line| !line.starts_with([' ', '\t']));
    let mut fields = BTreeMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        fields.entry(name).or_insert(value.trim());
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_files_is_installed() {
        let text = "Package: curl\nStatus: install ok installed\nArchitecture: arm64\nVersion: 8.5.0-2\nDescription: gets\n Version: 9\n\n\
                    Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
                    Package: kept\nStatus: hold ok installed\nArchitecture: all\nVersion: 2\n\n\
                    Package: half\nStatus: install reinstreq half-installed\nVersion: 3\n\n\
                    Package: waits\nStatus: install ok triggers-awaited\nVersion: 4\n\n\
                    Package: nameless-version\nStatus: install ok installed\n\n\
                    Version: 5\nStatus: install ok installed\n\n\n";
        let names: Vec<String> =
            installed(text).into_iter().map(|d| format!("{} {}", d.name, d.version)).collect();
        assert_eq!(names, ["curl 8.5.0-2", "kept 2", "waits 4"]);
        assert_eq!(installed(text)[0].architecture.as_deref(), Some("arm64"));
        // As distroless has it.
        assert_eq!(installed("Package: tzdata\nVersion: 2024a-0\n")[0].name, "tzdata");
        assert_eq!(installed(""), []);
    }
}
