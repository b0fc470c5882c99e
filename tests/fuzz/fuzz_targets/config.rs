//! Any texts as fragments of the configuration: a refusal is a list of lines that are safe to print and say where; what
//! is accepted is shown as a fragment that says the same.
#![no_main]
use bistable::config::{Target, fuzz};
use bistable_format::{limits, name::check_name};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let texts: Vec<&str> = text.splitn(4, "\n%\n").collect();
    let settings = match fuzz::read(&texts) {
        Ok(settings) => settings,
        Err(e) => {
            assert!(!e.problems.is_empty());
            for problem in &e.problems {
                assert!(!problem.text.is_empty() && !problem.text.contains(char::is_control), "{problem:?}");
                let lines = texts.iter().map(|text| text.matches('\n').count() + 1).max().unwrap_or(1);
                assert!(problem.line.is_none_or(|line| (1..=lines).contains(&line)), "{problem:?}");
            }
            return;
        }
    };
    let (shown, remarks) = fuzz::show(&texts).expect("it was read");
    assert_eq!(fuzz::read(&[&shown]).as_ref(), Ok(&settings), "{shown}");
    assert_eq!(fuzz::show(&[&shown]).map(|(again, _)| values(&again)), Ok(values(&shown)));
    assert!(remarks.iter().all(|remark| !remark.contains(char::is_control)), "{remarks:?}");

    // Weaker layers that say the same change nothing.
    let twice: Vec<&str> = texts.iter().chain(&texts).copied().collect();
    assert_eq!(fuzz::read(&twice).as_ref(), Ok(&settings));

    assert!(settings.components.len() <= limits::COMPONENTS);
    assert!(settings.components.is_sorted_by(|a, b| a.name < b.name));
    for component in &settings.components {
        check_name("component", &component.name).unwrap();
        match component.managed.as_ref().map(|managed| &managed.target) {
            Some(Target::Directory { unit, path, version_file }) => {
                assert!(unit.ends_with(".service") && !unit.contains('/'));
                assert!(path.is_absolute() && !path.starts_with("/persistent/bistable"));
                assert!(
                    path.components().chain(version_file.components()).all(|part| part.as_os_str() != "..")
                );
                assert!(version_file.is_relative());
            }
            Some(Target::Containers { project, service }) => {
                assert!(!project.contains('/') && !service.contains('/'));
                assert!(!project.starts_with('-') && !service.starts_with('-'), "it would be an option");
            }
            None => assert!(component.installed.is_some()),
        }
    }
});

/// Lines without their remarks: where a value comes from differs.
fn values(shown: &str) -> Vec<String> {
    shown.lines().map(|line| line.split("  # ").next().unwrap_or_default().trim_end().to_owned()).collect()
}
