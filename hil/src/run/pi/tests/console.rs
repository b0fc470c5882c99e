use crate::run::{
    observations::{self, Fault, Line, What},
    pi::{
        bench::Login,
        console::{Console, Heard},
    },
};

fn up(version: &str) -> What {
    What::Up { version: version.into() }
}

fn login(sudo: bool) -> Option<Login> {
    Some(Login { user: "pi".into(), password: "raspberry".into(), sudo })
}

/// What isn't just text.
fn told(heard: Vec<What>) -> Vec<What> {
    heard.into_iter().filter(|w| !matches!(w, What::Line(Line::Text(_)))).collect()
}

const FIRMWARE: &[u8] =
    b"  3.99 RPi: BOOTLOADER release VERSION:26826259 DATE: 2024/09/23 TIME: 14:02:56\r\n";
const KERNEL: &[u8] = b"[    0.000000] Booting Linux on physical CPU 0x0000000000 [0x410fd083]\r\n";
const UBOOT: &[u8] = b"U-Boot 2023.01+dfsg-2 (Feb 2023)\r\n";
const UP: &[u8] = b"rig: up version=1.0.0 boot=aaaa\r\n";

fn feed(console: &mut Console, parts: &[&[u8]]) -> Vec<What> {
    parts.iter().flat_map(|part| told(console.take(part).seen)).collect()
}

#[test]
fn a_boot_is_counted_once_whatever_says_so() {
    let boots: [&[&[u8]]; 5] =
        [&[UP], &[FIRMWARE, UP], &[KERNEL, UP], &[FIRMWARE, UBOOT, KERNEL, UP], &[UBOOT, UP]];
    for boot in boots {
        assert_eq!(feed(&mut Console::new(None), boot), [What::Loader, up("1.0.0")]);
    }
}

#[test]
fn boots_that_end_early_are_counted_too() {
    let mut console = Console::new(None);
    let seen = feed(&mut console, &[FIRMWARE, KERNEL, FIRMWARE, KERNEL, KERNEL, UP]);
    assert_eq!(seen, [What::Loader, What::Loader, What::Loader, up("1.0.0")]);
}

#[test]
fn a_silent_reset_is_known_by_the_boot_id() {
    let mut console = Console::new(None);
    let other = b"rig: up version=2.0.0 boot=bbbb\r\n";
    let seen = feed(&mut console, &[UP, UP, other, other, UP]);
    let want = [
        What::Loader,
        up("1.0.0"),
        up("1.0.0"),
        What::Loader,
        up("2.0.0"),
        up("2.0.0"),
        What::Loader,
        up("1.0.0"),
    ];
    assert_eq!(seen, want);
}

#[test]
fn a_restart_takes_the_shell_away_until_the_next_one() {
    let mut console = Console::new(None);
    feed(&mut console, &[UP]);
    assert!(console.is_up());
    let seen = feed(&mut console, &[b"[   61.1] reboot: Restarting system with command '0 tryboot'\r\n"]);
    assert_eq!(seen, [What::Reset]);
    assert!(!console.is_up());
    assert_eq!(feed(&mut console, &[KERNEL, UP]), [What::Loader, up("1.0.0")]);
    assert!(console.is_up());
}

#[test]
fn a_login_is_gone_through_byte_by_byte() {
    for sudo in [false, true] {
        let mut console = Console::new(login(sudo));
        let mut type_in = |text: &str| -> Vec<String> {
            text.bytes().filter_map(|byte| console.take(&[byte]).answer).collect()
        };
        assert_eq!(type_in("\r\nDebian GNU/Linux 12 rig ttyS0\r\n\r\nrig login: "), ["pi\n"]);
        assert_eq!(type_in("pi\r\nPassword: "), ["raspberry\n"]);
        let said = type_in("\r\nLast login: Sat Nov 21 10:00:00 UTC 2026 on ttyS0\r\n\x1b[?2004hpi@rig:~$ ");
        let [line] = said.as_slice() else { panic!("{said:?}") };
        assert!(line.contains("stty -echo") && line.ends_with('\n') && line.matches('\n').count() == 1);
        assert_eq!(line.starts_with("exec sudo -n sh -c '"), sudo);
        // In single quotes, so none within.
        assert_eq!(line.matches('\'').count(), if sudo { 2 } else { 0 });
        assert!(matches!(observations::read(line), What::Line(Line::Text(_))), "its echo says nothing");
        assert_eq!(type_in(&format!("{line}\nrig: up version=1.0.0 boot=aaaa\r\n# ")), Vec::<String>::new());
        assert!(console.is_up());
    }
}

#[test]
fn what_is_asked_and_drowned_is_asked_for_again() {
    let mut console = Console::new(login(false));
    assert_eq!(console.nudge(), None, "nobody asked, and a boot loader may be listening");
    let drowned = console.take(b"rig login: [   12.1] usb 1-1: new device\r\n");
    assert_eq!((drowned.answer, console.nudge()), (None, Some("\n".into())));
    assert_eq!(console.take(b"\r\nrig login: ").answer, Some("pi\n".into()));
    console.take(b"pi\r\nPassword: [   13.0] noise\r\n");
    assert_eq!(console.nudge(), Some("\n".into()));
    assert_eq!(console.take(b"\r\nLogin incorrect\r\nrig login: ").answer, Some("pi\n".into()));
    assert_eq!(console.refused(), 1);
    console.take(b"Password: ");
    assert!(console.take(b"root@rig:~# ").answer.is_some());
    assert!(console.nudge().is_some_and(|line| line.contains("stty")));
    console.take(UP);
    assert_eq!((console.nudge(), console.refused()), (None, 0));
}

#[test]
fn without_a_login_no_prompt_is_answered() {
    let mut console = Console::new(None);
    assert_eq!(console.take(b"rig login: "), Heard::default());
    assert_eq!(console.nudge(), None);
}

#[test]
fn noise_hides_nothing_that_follows() {
    let mut console = Console::new(login(false));
    let mut noise: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    noise.extend(b"\xff\x00\xfe");
    console.take(&noise);
    assert_eq!(told(console.take(UP).seen), [What::Loader, up("1.0.0")]);
    assert_eq!(told(console.take(b"\x00\x1b[0m@@begin 3\r\nx\r\n@@end 3 0\r\n").seen).len(), 2);
}

#[test]
fn half_a_line_ends_with_the_power() {
    let mut console = Console::new(login(false));
    feed(&mut console, &[UP, b"@@begin 1\r\n{\"state\": \"id"]);
    console.cut();
    assert!(!console.is_up());
    let seen = console.take(b"rig: up version=1.0.0 boot=aaaa\r\n").seen;
    assert_eq!(seen, [What::Loader, up("1.0.0")], "a new boot, and nothing of the old line");
    console.take(b"rig log");
    console.cut();
    assert_eq!(console.take(b"in: ").answer, None, "half a prompt isn't one");
}

#[test]
fn faults_are_seen() {
    let table: [(&[u8], _); 3] = [
        (b"Kernel panic - not syncing: x\r\n", Fault::Panic),
        (b"rig: fault hang\r\n", Fault::Hang),
        (b"Target filesystem doesn't have requested /sbin/init.\r\n", Fault::NoInit),
    ];
    for (line, fault) in table {
        assert_eq!(feed(&mut Console::new(None), &[line]), [What::Fault(fault)]);
    }
}
