//! What a person should know of an image that is built without an error.
use crate::fixture::{BUILD, Product, command};
use std::fs;
use std::process::Output;

fn build(product: &Product, more: &[&str]) -> Output {
    command(product, &[BUILD, &["--force", "--progress", "quiet"], more].concat()).output().unwrap()
}

fn notes(out: &Output) -> Vec<String> {
    assert!(out.status.success(), "{out:?}");
    let stderr = String::from_utf8_lossy(&out.stderr);
    stderr.lines().filter_map(|line| line.strip_prefix("note: ")).map(str::to_owned).collect()
}

#[test]
fn an_image_that_could_not_start_or_be_judged_is_no_error_and_no_secret() {
    let product = Product::new();
    product.write_keys();
    fs::remove_file(product.path("boot/kernel8.img")).unwrap();
    fs::remove_file(product.path("system/usr/bin/bistable")).unwrap();
    let bare = build(&product, &["--board", "raspberrypi4", "--root-owner", "--json"]);
    let said = notes(&bare);
    for note in [
        "unknown board raspberrypi4: devices recognize pi1, pi2, pi3, pi4, pi5, pizero, pizero2 by themselves;",
        "the release has no health profile: ",
        "boot: the boot volume has no kernel ",
        "system: the system has no /sbin/init: ",
        "system: the system has no bistable: ",
    ] {
        assert!(said.iter().any(|line| line.starts_with(note)), "{note}: {said:?}");
    }
    // Programs read the same.
    let json = bistable_schema::object(&String::from_utf8(bare.stdout).unwrap());
    assert_eq!(json["notes"], serde_json::json!(said));

    // With all of that there is nothing to say.
    fs::write(product.path("boot/vmlinuz"), "kernel").unwrap();
    for name in [
        "usr/sbin/init",
        "usr/bin/bistable",
        "usr/lib/systemd/systemd",
        "usr/lib/systemd/system/bistable-resume.service",
        "usr/lib/systemd/system-generators/bistable-trial-generator",
        "usr/lib/udev/rules.d/60-bistable.rules",
    ] {
        let path = product.path("system").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    fs::write(
        product.path("health.toml"),
        "[[check]]\nname = \"web\"\nkind = \"unit\"\nunit = \"web.service\"\n",
    )
    .unwrap();
    let whole = ["--root-owner", "--health", "health.toml"];
    assert_eq!(notes(&build(&product, &whole)), [""; 0]);

    // Firmware that a newer EEPROM can't start from this card.
    for (name, date, is_old) in [
        ("start4.elf", "Nov 26 2024", true),
        ("start4.elf", "Jan 16 2025", false),
        ("start.elf", "Nov 26 2024", false),
    ] {
        let path = product.path("boot").join(name);
        fs::write(&path, format!("\x7fELF\0VC_BUILD_ID_TIME: 12:52:28\0VC_BUILD_ID_TIME: {date}\0")).unwrap();
        let said = notes(&build(&product, &whole));
        fs::remove_file(path).unwrap();
        let found = said.iter().any(|note| note.starts_with("boot: start4.elf was built on 2024-11-26: "));
        assert_eq!((found, said.len()), (is_old, usize::from(is_old)), "{name} of {date}: {said:?}");
    }

    // The same of an image that is made already.
    let tools = build(&product, &[&whole[..], &["--mke2fs"]].concat());
    if tools.status.success() {
        assert!(!notes(&tools).iter().any(|note| note.contains("the system has no ")), "{tools:?}");
        fs::remove_file(product.path("system/usr/bin/bistable")).unwrap();
        let tools = notes(&build(&product, &[&whole[..], &["--mke2fs"]].concat()));
        assert!(
            tools.iter().any(|note| note.starts_with("system: the system has no bistable: ")),
            "{tools:?}"
        );
    }
}
