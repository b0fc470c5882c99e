//! The product's components on the rig: two applications, each with a service that runs from its folder, and versions of them.
use super::release::{BRINGS, BRINGS_SICK, Nature, Release};

/// A component.
pub const CORE: &str = "core";
/// The other one.
pub const PANEL: &str = "panel";

/// A version of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which component.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What is the matter with it.
    pub nature: Nature,
}

const fn part(name: &'static str, version: &'static str, nature: Nature) -> Part {
    Part { name, version, nature }
}

/// What is installed first.
pub const FIRST: [Part; 2] = [part(CORE, "1.0.0", Nature::Good), part(PANEL, "1.0.0", Nature::Good)];
/// A good update of one.
pub const BETTER: Part = part(CORE, "1.1.0", Nature::Good);
/// An update whose service ends at once.
pub const WORSE: Part = part(CORE, "1.2.0", Nature::Sick);
/// What [`BRINGS`] binds.
pub const BROUGHT: [Part; 2] = [part(CORE, "2.0.0", Nature::Good), part(PANEL, "2.0.0", Nature::Good)];
/// What [`BRINGS_SICK`] binds: one of them fails.
pub const BROUGHT_SICK: [Part; 2] = [part(CORE, "3.0.0", Nature::Good), part(PANEL, "3.0.0", Nature::Sick)];

/// What a release of the image brings along.
pub fn brought(release: Release) -> &'static [Part] {
    match release {
        BRINGS => &BROUGHT,
        BRINGS_SICK => &BROUGHT_SICK,
        _ => &[],
    }
}

/// All of them.
pub fn all() -> Vec<Part> {
    [FIRST.as_slice(), &[BETTER, WORSE], &BROUGHT, &BROUGHT_SICK].concat()
}

/// Where the starts of a component's service are recorded on the device: boot and version, a line for each.
pub fn starts(name: &str) -> String {
    format!("/persistent/starts-{name}")
}

/// The program that a version's service runs: it records its start, durably, for a cut may follow.
pub fn program(part: Part) -> String {
    let Part { name, version, nature } = part;
    let then = if nature == Nature::Sick { "exit 1" } else { "exec sleep infinity" };
    let starts = starts(name);
    format!(
        "#!/bin/sh\necho \"$(cat /proc/sys/kernel/random/boot_id) {version}\" >>{starts}\nsync {starts}\n{then}\n"
    )
}

/// Its unit, which every release of the image has. It is left out where the component isn't installed.
pub fn unit(name: &str) -> String {
    format!(
        "[Unit]\nDescription=Component {name}\nConditionPathExists=/opt/{name}/bin/run\nRequiresMountsFor=/persistent\n\n\
         [Service]\nExecStart=/opt/{name}/bin/run\n\n[Install]\nWantedBy=multi-user.target\n"
    )
}

/// Its part of the configuration.
pub fn declared(name: &str) -> String {
    format!("[component.{name}]\nkind = \"directory\"\nunit = \"{name}.service\"\npath = \"/opt/{name}\"\n")
}

/// The recorded starts, by boot, in order: the versions that ran in each.
pub fn by_boot(record: &str) -> Vec<Vec<String>> {
    let mut boots: Vec<(String, Vec<String>)> = Vec::new();
    for (boot, version) in record.lines().filter_map(|line| line.split_once(' ')) {
        match boots.last_mut() {
            Some((last, versions)) if last == boot => versions.push(version.to_owned()),
            _ => boots.push((boot.to_owned(), vec![version.to_owned()])),
        }
    }
    boots.into_iter().map(|(_, versions)| versions).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_told_apart_by_boot() {
        let found = by_boot("a 1.0.0\na 1.1.0\nb 1.1.0\na noise\n\nb 1.1.0\n");
        assert_eq!(found, [vec!["1.0.0", "1.1.0"], vec!["1.1.0"], vec!["noise"], vec!["1.1.0"]]);
    }

    #[test]
    fn no_version_of_a_component_is_there_twice() {
        let mut names: Vec<_> = all().into_iter().map(|part| (part.name, part.version)).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
