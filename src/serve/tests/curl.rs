//! The commands of the page, as they are written there.
use super::client::Api;
use std::{fs, path::Path, process::Command};

#[test]
#[ignore = "needs curl"]
fn each_command_of_the_page_is_answered() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs/api.md");
    let page = fs::read_to_string(page).unwrap().replace("\\\n", " ");
    let commands: Vec<&str> = page.lines().filter(|line| line.starts_with("curl ")).collect();
    assert!(commands.len() >= 6, "{commands:?}");
    let api = Api::new();
    for _ in 0..7 {
        api.post("/v1/arm", "");
    }
    api.desk.log(1205, "update.armed");
    for command in commands {
        let here = command.replace("/run/bistable/api.sock", api.socket());
        // One of them never ends by itself.
        let here = here.replacen("curl ", "curl -sS --fail-with-body --max-time 2 ", 1);
        let out = Command::new("sh").args(["-c", &here]).output().unwrap();
        let is_feed = command.contains("text/event-stream");
        let text = String::from_utf8_lossy(&out.stdout);
        assert_eq!(out.status.code(), Some(if is_feed { 28 } else { 0 }), "{command}: {out:?}");
        assert!(
            if is_feed { text.contains("id: 1205\n") } else { text.starts_with('{') },
            "{command}: {text}"
        );
    }
}
