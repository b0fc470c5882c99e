//! A card that brings a component along: the device runs it from its first boot, and updates it as one that it installed itself.
use crate::{
    components::{CONFIG, WORLD, bundle, core, shown},
    fixture::product,
    pi::Pi,
};
use bistable_image::{
    Existing, Silent, Threads,
    card::{self, Agent, CardComponent, CardOptions},
};
use serde_json::json;
use std::{fs, os::unix::fs::symlink, sync::Arc};

#[test]
fn device_runs_the_component_of_its_card_from_the_first_boot() {
    let pi = Pi::new();
    let root = product().root.clone();
    fs::write(pi.path("image.bundle"), &product().old).unwrap();
    let mut options = CardOptions::new(pi.path("image.bundle"), root.clone(), pi.path("card.img"));
    options.agent = Agent::Optional;
    let first = bundle(&pi, "1.0.0");
    let component = CardComponent::of_bundle(&first, &root.root, Threads::new(1), &Silent).unwrap();
    options.components = vec![Arc::new(component)];
    options.existing = Existing::Replace;
    card::make(&options, &Silent).unwrap();
    pi.config(CONFIG);
    pi.world(WORLD);
    fs::create_dir_all(pi.path("card.img.sim/root/opt")).unwrap();
    symlink("/run/bistable/components/core", pi.path("card.img.sim/root/opt/core")).unwrap();

    // What systemd runs at each boot.
    pi.run("component links").must(0, &[]);
    assert_eq!(shown(&pi).unwrap(), "#!/bin/sh\necho 1.0.0\n");
    let now = core(&pi);
    assert_eq!((&now["lifecycle"], &now["version"]), (&json!("running"), &json!("1.0.0")));
    pi.run_on("component update core", &first).must(3, &["is what runs already"]);
    pi.run_on("component update core", &bundle(&pi, "1.0.1")).must(0, &["1.0.1 is committed"]);
    assert_eq!(shown(&pi).unwrap(), "#!/bin/sh\necho 1.0.1\n");
    pi.run("component revert core").must(0, &["1.0.0 is committed"]);
    pi.run_on("component update core", &bundle(&pi, "1.1.0")).must(8, &["1.1.0 was given up"]);
    assert_eq!(shown(&pi).unwrap(), "#!/bin/sh\necho 1.0.0\n");
    // The record is lost: the durable name of the card says what runs.
    pi.run("sim power off").must(0, &[]);
    for at in bistable_boot::layout::COMPONENTS {
        pi.scribble(bistable_boot::layout::Partition::State, at.0 * 512, &[1; 4096]);
    }
    pi.run("sim power on").must(0, &[]);
    pi.run("component links").must(0, &[]);
    assert_eq!(shown(&pi).unwrap(), "#!/bin/sh\necho 1.0.0\n");
}
