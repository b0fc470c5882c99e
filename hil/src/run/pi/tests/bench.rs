use crate::run::pi::bench::{Bench, Switch};
use bistable_boot::Flow;
use std::{path::Path, time::Duration};

pub(super) const GOOD: &str = r#"
[serial]
port = "/dev/ttyUSB0"
baud = 115200

[power]
on = ["usbrelay", "BITFT_1=1"]
off = ["usbrelay", "BITFT_1=0"]

[jig]
chip = "/dev/gpiochip1"
line = 3
active_low = true

[card]
image = "card.img"
write = ["dd", "if={image}", "of=/dev/sdz"]
to_pc = ["sd-mux-ctrl", "--ts"]
to_pi = ["sd-mux-ctrl", "--dut"]
disk = "/dev/sdz"

[device]
board = "pi4"
boot_flow = "uboot"
bundles = "/media/bundles/"
user = "root"
password = "secret"
boot_s = 90
"#;

fn parse(text: &str) -> Result<Bench, Vec<String>> {
    let parsed = Bench::parse(Path::new("/lab/bench.toml"), text);
    parsed.map_err(|e| e.problems.iter().map(ToString::to_string).collect())
}

#[test]
fn a_good_one_is_read() {
    let bench = parse(GOOD).unwrap();
    assert_eq!(bench.card.image, Path::new("/lab/card.img"), "relative to the file");
    let line = Switch::Line { chip: "/dev/gpiochip1".into(), line: 3, active_low: true };
    assert_eq!(bench.jig, Some(line));
    let device = &bench.device;
    assert_eq!((device.flow, device.bundles.as_str()), (Flow::Uboot, "/media/bundles"));
    assert_eq!(device.pace.boot, Duration::from_secs(90));
    let names: Vec<_> = bench.programs().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["power.on", "power.off", "card.write", "card.to_pc", "card.to_pi"]);
    assert!(!format!("{bench:?}").contains("secret"), "a password must not get into a log");
}

#[test]
fn what_may_be_left_out() {
    let text = "[serial]\nport = \"/dev/ttyACM0\"\n[power]\nchip = \"/dev/gpiochip0\"\nline = 4\n\
                [card]\nimage = \"/x/card.img\"\nby_hand = true\n[device]\nboard = \"pi5\"\n";
    let bench = parse(text).unwrap();
    assert_eq!((bench.serial.baud, bench.off), (115_200, Duration::from_secs(3)));
    assert_eq!((bench.jig, bench.card.write, bench.card.multiplexer), (None, None, None));
    assert_eq!((bench.device.flow, bench.device.login), (Flow::Tryboot, None));
    assert_eq!(bench.device.bundles, "/persistent/bundles");
}

#[test]
fn each_thing_that_is_wrong_is_told_with_its_line() {
    let table = [
        ("baud = 115200", "baud = 115201", "4: serial.baud is one of"),
        ("baud = 115200", "baud = \"fast\"", "4: serial.baud is a number from 9600 to 230400, not \"fast\""),
        ("baud = 115200", "bauds = 115200", "4: [serial] unknown key \"bauds\"; known: port, baud"),
        ("port = \"/dev/ttyUSB0\"", "port = \"\"", "3: serial.port is a line of text"),
        ("port = \"/dev/ttyUSB0\"", "", "needs a port"),
        ("off = [\"usbrelay\", \"BITFT_1=0\"]", "", "[power] needs off, too"),
        (
            "off = [\"usbrelay\", \"BITFT_1=0\"]",
            "off = \"usbrelay\"",
            "8: power.off is a program and its arguments",
        ),
        ("off = [\"usbrelay\", \"BITFT_1=0\"]", "off = []", "8: power.off is a program"),
        ("off = [\"usbrelay\", \"BITFT_1=0\"]", "off = [\"x\", 1]", "8: power.off is a program"),
        ("off = [\"usbrelay\", \"BITFT_1=0\"]", "line = 1", "either programs (on and off) or a GPIO line"),
        ("line = 3", "line = -3", "12: jig.line is a number"),
        ("line = 3", "", "[jig] needs line, too"),
        ("active_low = true", "active_low = 1", "13: jig.active_low is true or false, not 1"),
        ("image = \"card.img\"", "", "needs the image"),
        ("if={image}", "if=card.img", "card.write needs {image}"),
        ("disk = \"/dev/sdz\"", "by_hand = true", "needs either write, or by_hand = true"),
        ("disk = \"/dev/sdz\"", "", "needs to_pc, to_pi and disk together"),
        ("board = \"pi4\"", "board = \"Pi 4\"", "device.board is not a name of a board"),
        ("board = \"pi4\"", "", "needs a board"),
        (
            "boot_flow = \"uboot\"",
            "boot_flow = \"grub\"",
            "device.boot_flow is \"tryboot\" or \"uboot\", not \"grub\"",
        ),
        ("/media/bundles/", "/media/$(reboot)", "device.bundles is an absolute path"),
        ("/media/bundles/", "bundles", "device.bundles is an absolute path"),
        ("password = \"secret\"", "", "needs user and password together"),
        ("user = \"root\"\npassword = \"secret\"", "sudo = true", "needs user and password together"),
        ("boot_s = 90", "boot_s = 0", "device.boot_s is a number from 1 to 86400, not 0"),
        ("[device]", "[gadget]", "there is no [device]"),
        ("[device]", "[[device]]", "device is a table"),
        ("[power]", "[power", ""),
    ];
    for (good, bad, told) in table {
        assert!(GOOD.contains(good), "{good}");
        let problems = parse(&GOOD.replacen(good, bad, 1)).unwrap_err();
        let found = problems.iter().any(|p| p.starts_with("/lab/bench.toml") && p.contains(told));
        assert!(found, "{bad:?}: {problems:#?}");
    }
}

#[test]
fn all_problems_are_told_at_once_in_order() {
    let text = GOOD
        .replace("115200", "1")
        .replace("line = 3", "line = true")
        .replace("pi4", "?")
        .replace("[serial]", "[serial]\nx = 1");
    let problems = parse(&text).unwrap_err();
    let lines: Vec<_> = problems.iter().filter_map(|p| p.split(':').nth(1)?.parse::<u32>().ok()).collect();
    assert_eq!(lines.len(), problems.len());
    assert!(lines.len() >= 4 && lines.is_sorted(), "{problems:#?}");
}

#[test]
fn a_file_that_is_not_there_is_a_problem() {
    let error = Bench::load(Path::new("/no/such/bench.toml")).unwrap_err().to_string();
    assert!(error.contains("/no/such/bench.toml: can't be read"), "{error}");
}

#[test]
fn example_of_the_bench_page_is_valid() {
    let page = include_str!("../../../../docs/bench.md");
    let example =
        page.split("```toml\n").find_map(|part| part.split("```").next().filter(|t| t.contains("[serial]")));
    parse(example.expect("an example")).unwrap();
}
