//! Compose files: what names an image is found and replaced, and nothing else; what leaves doubt about an image is refused.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use bistable_format::compose::{Compose, ComposeError, Feature, Problem};
use bistable_format::{limits, text::is_printable};
use proptest::prelude::*;

const NEW: &str = "bistable.invalid/scheduler@sha256:0f";

fn refused(text: &str) -> ComposeError {
    let error = Compose::parse(text.as_bytes()).unwrap_err();
    assert!(is_printable(&error.to_string(), &[]), "{error}");
    error
}

fn edited(text: &str, service: &str, image: &str) -> String {
    let new = Compose::parse(text.as_bytes()).unwrap().with_image(service, image).unwrap();
    let again = Compose::parse(new.as_bytes()).unwrap();
    assert_eq!(again.service(service).unwrap().image, image);
    assert_eq!(again.with_image(service, image).unwrap(), new, "a second time changes nothing");
    new
}

#[test]
fn only_the_image_changes() {
    for (name, text) in [
        ("plain", "# Käse ü\nservices:\n  scheduler:\n    image: OLD   # keep me\n    restart: always\n"),
        ("double quotes", "services:\n  scheduler:\n    \"image\": \"OLD\"\n"),
        ("single quotes", "services:\n  scheduler:\n    'image': 'OLD'\n"),
        ("flow", "services: {scheduler: {image: OLD, restart: always}}\n"),
        ("json", "{\"services\": {\"scheduler\": {\"image\": \"OLD\"}}}"),
        ("CRLF", "services:\r\n  scheduler:\r\n    # µ\r\n    image: OLD\r\n    restart: always\r\n"),
        ("no line end", "services:\n  scheduler:\n    image: OLD"),
        ("a document mark", "---\nservices:\n  scheduler:\n    image: OLD\n...\n"),
        ("next line", "services:\n  scheduler:\n    image:\n      OLD\n"),
        ("the same elsewhere", "x-note: OLD\nservices:\n  scheduler:\n    labels: [OLD]\n    image: OLD\n"),
        ("another service", "services:\n  web:\n    image: OLD2\n  scheduler:\n    image: OLD\n"),
        ("four-byte characters", "x-𝕏: 🦀\nservices:\n  scheduler: # 🦀\n    image: OLD\n"),
        (
            "image within a list",
            "services:\n  scheduler:\n    volumes:\n      - type: image\n        image: x\n    image: OLD\n",
        ),
        (
            "a variable elsewhere",
            "services:\n  scheduler:\n    image: OLD\n    environment:\n      A: ${A:-1}\n",
        ),
        ("built, with its name", "services:\n  scheduler:\n    build: .\n    image: OLD\n"),
    ] {
        let text = text.replace("OLD", "ghcr.io/x/scheduler:1.0");
        let parts: Vec<_> = text.match_indices("ghcr.io/x/scheduler:1.0").collect();
        let new = edited(&text, "scheduler", NEW);
        let candidates =
            parts.iter().map(|(at, old)| format!("{}{NEW}{}", &text[..*at], &text[at + old.len()..]));
        assert!(candidates.into_iter().any(|candidate| candidate == new), "{name}: {new}");
    }
}

#[test]
fn a_name_that_yaml_reads_as_another_type_gets_quotes() {
    for (image, written) in [
        ("busybox", "busybox"),
        ("true", "\"true\""),
        ("No", "\"No\""),
        ("1.20", "\"1.20\""),
        ("12:30", "\"12:30\""),
        ("1e3", "\"1e3\""),
        ("0x1", "\"0x1\""),
        ("y:1", "y:1"),
    ] {
        let new = edited("services:\n  a:\n    image: b\n", "a", image);
        assert_eq!(new, format!("services:\n  a:\n    image: {written}\n"));
        assert_eq!(
            edited("services: {a: {image: 'b'}}", "a", image),
            format!("services: {{a: {{image: '{image}'}}}}")
        );
    }
}

#[test]
fn only_names_of_images_are_written() {
    let compose = Compose::parse(b"services: {a: {image: b}}").unwrap();
    for image in [
        "",
        " ",
        "b\n",
        "b c",
        "b: c",
        "b #c",
        "\"b",
        "${TAG}",
        "b:",
        "-b",
        "b,c",
        "b}",
        "ü",
        &"b".repeat(513),
    ] {
        assert!(matches!(compose.with_image("a", image), Err(ComposeError::NotAnImage { .. })), "{image:?}");
    }
    assert_eq!(
        compose.with_image("c", "b").unwrap_err(),
        ComposeError::NoService { name: "c".into(), services: vec!["a".into()] }
    );
}

#[test]
fn what_leaves_doubt_about_images_is_refused_with_its_line() {
    let feature = |line, feature| ComposeError::Feature { line, feature };
    for (text, error) in [
        ("x: &a b\nservices:\n  a:\n    image: *a\n", feature(1, Feature::Anchor)),
        ("services:\n  a: &a\n    image: b\n", feature(2, Feature::Anchor)),
        ("services:\n  a:\n    <<: {image: b}\n", feature(3, Feature::Merge)),
        ("services:\n  a:\n    image: !reset b\n", feature(3, Feature::Tag)),
        ("include:\n  - other.yaml\nservices:\n  a:\n    image: b\n", feature(1, Feature::Include)),
        (
            "services:\n  a:\n    image: b\n---\nservices:\n  a:\n    image: c\n",
            feature(4, Feature::Documents),
        ),
        ("? [a, b]\n: c\nservices: {a: {image: b}}\n", feature(1, Feature::Key)),
        ("services:\n  - a\n", feature(2, Feature::Services)),
        ("- services\n", feature(1, Feature::Services)),
        ("services: a\n", feature(1, Feature::Services)),
        ("services:\n", ComposeError::NoServices),
        ("services: {}\n", ComposeError::NoServices),
        ("volumes: {a: {}}\n", ComposeError::NoServices),
        ("text\n", ComposeError::NoServices),
        ("", ComposeError::NoServices),
        (
            "services:\n  a:\n    image: b\n    image: c\n",
            ComposeError::Twice { line: 4, key: "image".into() },
        ),
        ("services:\n  a: {image: b}\n  'a': {image: c}\n", ComposeError::Twice { line: 3, key: "a".into() }),
        (
            "services: {a: {image: b}}\nservices: {a: {image: c}}\n",
            ComposeError::Twice { line: 2, key: "services".into() },
        ),
        ("x: {k: 1, k: 2}\nservices: {a: {image: b}}\n", ComposeError::Twice { line: 1, key: "k".into() }),
    ] {
        assert_eq!(refused(text), error, "{text}");
    }
    assert!(matches!(refused("x: *a\nservices: {a: {image: b}}\n"), ComposeError::NotYaml { line: 1, .. }));
    assert!(matches!(refused("services:\n\ta: b\n"), ComposeError::NotYaml { .. }));
    assert!(matches!(refused("services: {a: {image: b}\n"), ComposeError::NotYaml { .. }));
}

#[test]
fn what_is_wrong_with_a_service_is_said_of_it() {
    let of = |line, problem| ComposeError::Service { line, service: "a".into(), problem };
    let variable = |image: &str| Problem::Variable { image: image.into() };
    for (settings, line, problem) in [
        ("    image: b:${TAG}\n", 3, variable("b:${TAG}")),
        ("    image: '$IMAGE'\n", 3, variable("$IMAGE")),
        ("    image: b:$$x\n", 3, variable("b:$$x")),
        ("    image: b c\n", 3, Problem::NotAnImage { image: "b c".into() }),
        ("    image: \"b\\u0063\"\n", 3, Problem::NotScalar),
        ("    image: |\n      b\n", 3, Problem::NotAnImage { image: "b\u{fffd}".into() }),
        ("    image: |-\n      b\n", 3, Problem::NotScalar),
        ("    image: >-\n      b\n", 3, Problem::NotScalar),
        ("    image: [b]\n", 3, Problem::NotScalar),
        ("    image: {b: c}\n", 3, Problem::NotScalar),
        ("    image:\n", 3, Problem::NoImage),
        ("    image: ~\n", 3, Problem::NoImage),
        ("    image: ''\n", 3, Problem::NoImage),
        ("    build: .\n", 3, Problem::Build),
        ("    restart: always\n", 3, Problem::NoImage),
        ("    image: b\n    extends: {service: c}\n", 4, Problem::Extends),
        ("    image: b\n    profiles: [c]\n", 4, Problem::Profiles),
    ] {
        let error = refused(&format!("services:\n  a:\n{settings}"));
        match (&error, &problem) {
            // A block's mark is where the parser says.
            (ComposeError::Service { problem: found, .. }, _) if settings.contains(['|', '>']) => {
                assert_eq!(*found, problem, "{settings}");
            }
            _ => assert_eq!(error, of(line, problem), "{settings}"),
        }
    }
    assert_eq!(refused("services:\n  a:\n"), of(2, Problem::Settings));
    assert_eq!(refused("services:\n  a: [b]\n"), of(2, Problem::Settings));
    let error = refused("services:\n  Big Name:\n    image: b\n");
    assert_eq!(error, ComposeError::Service { line: 2, service: "Big Name".into(), problem: Problem::Name });
}

#[test]
fn what_is_too_much_is_refused_before_it_is_kept() {
    let service = |n: usize| format!("  s{n}:\n    image: b\n");
    let many = |n| format!("services:\n{}", (0..n).map(service).collect::<String>());
    assert_eq!(Compose::parse(many(limits::SERVICES).as_bytes()).unwrap().services().len(), limits::SERVICES);
    assert_eq!(
        refused(&many(limits::SERVICES + 1)),
        ComposeError::TooManyServices { limit: limits::SERVICES }
    );
    let deep = format!("x: {}{}\nservices: {{a: {{image: b}}}}\n", "[".repeat(40), "]".repeat(40));
    assert_eq!(refused(&deep), ComposeError::Feature { line: 1, feature: Feature::Depth });
    let long = format!("# {}\nservices: {{a: {{image: b}}}}\n", "x".repeat(limits::COMPOSE));
    assert_eq!(refused(&long), ComposeError::TooLarge { bytes: long.len(), limit: limits::COMPOSE });
    assert_eq!(
        Compose::parse(b"services: {a: {image: b\xff}}").unwrap_err(),
        ComposeError::NotUtf8 { at: 23 }
    );
}

/// One service as people write them.
fn service() -> impl Strategy<Value = String> {
    let image = prop_oneof![Just("IMG"), Just("'IMG'"), Just("\"IMG\"")];
    let comment = prop_oneof![Just(""), Just("  # größer 🦀"), Just(" #x")];
    let other = prop_oneof![
        Just("    restart: always\n"),
        Just("    environment:\n      A: ${A}\n      B: \"ü: *x &y\"\n"),
        Just("    command: [\"sh\", \"-c\", 'a # b']\n"),
        Just("    # image: not this\n"),
        Just("    labels:\n      - image=x\n      - |\n        image: x\n"),
        Just("\n"),
    ];
    let others = || prop::collection::vec(other.clone(), 0..3);
    (others(), image, comment, others()).prop_map(|(before, image, comment, after)| {
        // No key twice: only one of each.
        let (mut seen, mut text) = (Vec::new(), String::new());
        for (at, line) in before.into_iter().chain(after).enumerate() {
            if at == 1 {
                text.push('@');
            }
            if !seen.contains(&line) {
                seen.push(line);
                text.push_str(line);
            }
        }
        let image = format!("    image: {image}{comment}\n");
        if text.contains('@') { text.replace('@', &image) } else { text + &image }
    })
}

proptest! {
    #[test]
    fn everything_but_the_image_stays_byte_for_byte(
        services in prop::collection::vec(service(), 1..5),
        which in 0_usize..5,
        crlf: bool,
        image in "[a-z0-9]{1,8}(/[a-z0-9]{1,8}){0,2}(:[a-zA-Z0-9]{1,5})?(@sha256:[0-9a-f]{4})?",
    ) {
        let which = which % services.len();
        let text = |with: &str| {
            let mut text = String::from("# Käse\nservices:\n");
            for (at, service) in services.iter().enumerate() {
                let image = if at == which { with.to_owned() } else { format!("other/{at}:1") };
                text.push_str(&format!("  s{at}:\n{}", service.replace("IMG", &image)));
            }
            if crlf { text.replace('\n', "\r\n") } else { text }
        };
        let old = text("ghcr.io/x/y:1.0");
        let new = edited(&old, &format!("s{which}"), &image);
        let plain = text(&image);
        // A name that needs quotes gets them, if it has none.
        let quoted = text(&format!("\"{image}\""));
        prop_assert!(new == plain || new == quoted, "{}", new);
        let (old, new) = (Compose::parse(old.as_bytes()).unwrap(), Compose::parse(new.as_bytes()).unwrap());
        for (at, (old, new)) in old.services().iter().zip(new.services()).enumerate() {
            prop_assert_eq!(&old.name, &new.name);
            prop_assert_eq!(&new.image, if at == which { &image } else { &old.image });
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(services|image|a|b|:|\\[|\\]|\\{|\\}|,|\n|  |- |#|'|\"|&|\\*|\\||ü|\r\n|<<|\\?|!|---|\t|\u{feff}){0,40}") {
        if let Ok(compose) = Compose::parse(text.as_bytes()) {
            for service in compose.services() {
                edited(&text, &service.name, NEW);
            }
        }
    }
}
