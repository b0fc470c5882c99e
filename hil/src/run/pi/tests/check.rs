use super::fake_pi::{pty, uboot_card};
use crate::run::{
    pi::{
        bench::{Bench, SerialLine, Switch},
        check::{self, plan, ready},
        serial::try_open,
    },
    scenario,
};
use nix::unistd::ttyname;
use std::path::Path;

/// A bench on this machine: a pseudo terminal, programs that do nothing, a card with a boot block.
fn bench(port: &Path, folder: &Path, more: &str) -> Bench {
    let image = folder.join("card.img");
    uboot_card(&image);
    let text = format!(
        "[serial]\nport = \"{}\"\n[power]\non = [\"true\"]\noff = [\"true\"]\n\
         [card]\nimage = \"{}\"\nwrite = [\"true\", \"{{image}}\"]\n\
         [device]\nboard = \"pi4\"\nboot_flow = \"uboot\"\n{more}",
        port.display(),
        image.display()
    );
    Bench::parse(Path::new("bench.toml"), &text).unwrap()
}

#[test]
fn a_good_bench_is_ready() {
    let folder = tempfile::tempdir().unwrap();
    let (_master, slave) = pty();
    let bench = bench(&ttyname(&slave).unwrap(), folder.path(), "");
    let found = check::look(&bench, false);
    assert!(ready(&found), "{found:#?}");
    let planned = plan(&bench, true, &scenario::ALL, None);
    let table = check::table(&found, &planned);
    for line in
        ["serial.port    ok       /dev/pts/", "card.image     ok       ", "update                 would run"]
    {
        assert!(table.contains(line), "{table}");
    }
    assert_eq!(check::json(&found, &planned)["ready"], true);
}

#[test]
fn everything_that_is_missing_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (_master, slave) = pty();
    let mut bench = bench(&ttyname(&slave).unwrap(), folder.path(), "");
    bench.serial.port = "/no/such/port".into();
    bench.power = Switch::Programs { on: vec!["no-such-relay".into()], off: vec!["/etc/passwd".into()] };
    bench.jig = Some(Switch::Line { chip: "/no/such/chip".into(), line: 1, active_low: false });
    bench.card.image = "/no/such/card.img".into();
    bench.card.write = None;
    let found = check::look(&bench, false);
    let missing: Vec<_> = found.iter().filter(|f| f.is.is_err()).map(|f| f.what.as_str()).collect();
    assert_eq!(missing, ["serial.port", "power.on", "power.off", "jig.line", "card.by_hand", "card.image"]);
    assert_eq!(check::table(&found, &[]).matches("MISSING").count(), 6);
    assert_eq!(check::json(&found, &[])["ready"], false);
}

#[test]
fn a_file_is_no_port_and_a_port_is_for_one() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = try_open(file.path()).unwrap_err().to_string();
    assert!(error.contains("no serial port"), "{error}");
    let (_master, slave) = pty();
    let port = ttyname(&slave).unwrap();
    let line = SerialLine { port: port.clone(), baud: 115_200 };
    let serial = crate::run::pi::serial::Serial::open(&line).unwrap();
    let error = try_open(&port).unwrap_err().to_string();
    assert!(error.contains("in use"), "{error}");
    drop(serial);
    try_open(&port).unwrap();
}

#[test]
fn a_used_card_is_not_the_factorys() {
    let folder = tempfile::tempdir().unwrap();
    let (_master, slave) = pty();
    let bench = bench(&ttyname(&slave).unwrap(), folder.path(), "");
    super::fake_pi::card_with_default(&bench.card.image, bistable_boot::Slot::B);
    let found = check::look(&bench, false);
    let why = found.iter().find_map(|f| f.is.as_ref().err()).unwrap();
    assert!(why.contains("slot B") && why.contains("no new card"), "{why}");
}

#[test]
fn what_cannot_run_is_skipped_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let (_master, slave) = pty();
    let bench = bench(&ttyname(&slave).unwrap(), folder.path(), "");
    let skipped = |hands| -> Vec<&str> {
        let planned = plan(&bench, hands, &scenario::ALL, None);
        planned.iter().filter(|p| p.skipped.is_some()).map(|p| p.name).collect()
    };
    // Also holds their names to those of the list.
    assert_eq!(skipped(true), ["left alone", "components", "bound", "writes"]);
    assert_eq!(skipped(false), ["left alone", "self-test refused", "components", "bound", "writes"]);
    assert_eq!(plan(&bench, true, &scenario::ALL, Some("panic")).len(), 1);
}

#[test]
fn the_command_line_fits_together() {
    <crate::run::Options as clap::Args>::augment_args(clap::Command::new("run")).debug_assert();
}
