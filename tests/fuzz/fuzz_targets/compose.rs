//! Any text as a Compose file: what is accepted can be given another image for each service, which changes that image and no other byte.
#![no_main]
use bistable_format::compose::Compose;
use bistable_format::text::is_printable;
use libfuzzer_sys::fuzz_target;

const NEW: &str = "bistable.invalid/x@sha256:0f";

fuzz_target!(|data: &[u8]| {
    let compose = match Compose::parse(data) {
        Ok(compose) => compose,
        Err(error) => return assert!(is_printable(&error.to_string(), &[]), "{error:?}"),
    };
    let old = core::str::from_utf8(data).expect("it was accepted");
    if old.contains(NEW) {
        return;
    }
    for service in compose.services() {
        let new = compose.with_image(&service.name, NEW).expect("it is the name of an image");
        let (before, after) = new.split_once(NEW).expect("it was written");
        assert!(old.starts_with(before) && old.ends_with(after), "other bytes changed");
        let changed = old.get(before.len()..old.len() - after.len()).expect("whole characters");
        assert_eq!(changed, service.image, "something else was replaced");
        let again = Compose::parse(new.as_bytes()).expect("it still is a Compose file");
        for (before, after) in compose.services().iter().zip(again.services()) {
            let image = if before.name == service.name { NEW } else { &before.image };
            assert!(before.name == after.name && after.image == image, "another service changed");
        }
    }
});
