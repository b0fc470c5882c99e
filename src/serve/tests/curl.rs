//! The commands of the page, as they are written there.
use super::{client::Api, upload};
use std::{fs, io::Read as _, path::Path, process::Command, thread};

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
    api.backend.log(1205, "update.armed");
    let folder = tempfile::tempdir().unwrap();
    #[expect(clippy::disallowed_methods, reason = "a file of a test")]
    fs::write(folder.path().join("hub-1.2.0.bundle"), [7; 100_000]).unwrap();
    for command in commands {
        let here = command.replace("/run/bistable/api.sock", api.socket());
        // One of them never ends by itself.
        let here = here.replacen("curl ", "curl -sS --fail-with-body --max-time 2 ", 1);
        let out = thread::scope(|scope| {
            if command.contains("/v1/bundles") {
                // The agent, which the answer waits for.
                scope.spawn(|| {
                    let (id, mut bundle) = upload::bundle(&api);
                    let mut read = Vec::new();
                    bundle.read_to_end(&mut read).unwrap();
                    assert_eq!(read.len(), 100_000);
                    upload::end(&api, &id, 0, None);
                });
            }
            Command::new("sh").args(["-c", &here]).current_dir(folder.path()).output().unwrap()
        });
        let is_feed = command.contains("text/event-stream");
        let text = String::from_utf8_lossy(&out.stdout);
        assert_eq!(out.status.code(), Some(if is_feed { 28 } else { 0 }), "{command}: {out:?}");
        assert!(
            if is_feed { text.contains("id: 1205\n") } else { text.starts_with('{') },
            "{command}: {text}"
        );
    }
}
