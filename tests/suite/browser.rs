//! A real Chromium, driven over two pipes (Chrome DevTools Protocol). Debian's package `chromium`.
use base64::{Engine as _, engine::general_purpose::STANDARD};
use nix::{sys::stat::Mode, unistd::mkfifo};
use serde_json::{Value, json};
use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// A browser with one page.
pub(crate) struct Browser {
    process: Child,
    to: File,
    messages: Receiver<Value>,
    session: String,
    next: u64,
    /// What is given when a server asks for a password.
    pub(crate) token: String,
    asked: u32,
    _folder: TempDir,
}

impl Browser {
    pub(crate) fn start(token: &str) -> Browser {
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("in"), folder.path().join("out"));
        for pipe in [&input, &output] {
            mkfifo(pipe, Mode::S_IRWXU).unwrap();
        }
        let log = File::create(folder.path().join("log")).unwrap();
        // The browser reads commands from descriptor 3 and writes answers to 4.
        let process = Command::new("sh")
            .args(["-c", "exec chromium \"$@\" 3<\"$IN\" 4>\"$OUT\"", "sh"])
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .args(["--remote-debugging-pipe", "--hide-scrollbars", "--window-size=1280,1400"])
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .env("IN", &input)
            .env("OUT", &output)
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("chromium: apt-get install chromium");
        let to = OpenOptions::new().write(true).open(&input).unwrap();
        let from = BufReader::new(File::open(&output).unwrap());
        let (sender, messages) = channel();
        thread::spawn(move || {
            for message in from.split(0) {
                let Ok(Ok(message)) = message.map(|bytes| serde_json::from_slice(&bytes)) else { return };
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let session = String::new();
        let token = token.to_owned();
        let mut browser =
            Browser { process, to, messages, session, next: 1, token, asked: 0, _folder: folder };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let target = target["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        browser.session = attached["sessionId"].as_str().unwrap().into();
        browser.call("Page.enable", json!({}));
        // The page itself only: what scripts send must continue while the test does something else, and what was sent with an upload
        // is no text.
        let patterns =
            json!([{ "urlPattern": "*/", "resourceType": "Document" }, { "urlPattern": "*/login" }]);
        browser.call("Fetch.enable", json!({ "handleAuthRequests": true, "patterns": patterns }));
        browser
    }

    fn send(&mut self, method: &str, params: &Value) -> u64 {
        let id = self.next;
        self.next += 1;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_empty() {
            message["sessionId"] = self.session.clone().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        id
    }

    /// Call a method of the browser.
    #[expect(clippy::needless_pass_by_value, reason = "calls read better")]
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, &params);
        loop {
            let message = self.messages.recv_timeout(Duration::from_secs(60));
            let message = message.unwrap_or_else(|e| panic!("{method}: the browser does not answer: {e}"));
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method} {params}: {message}");
                return message["result"].clone();
            }
            self.event(&message);
        }
    }

    fn event(&mut self, message: &Value) {
        let id = &message["params"]["requestId"];
        match message["method"].as_str() {
            Some("Fetch.requestPaused") => {
                self.send("Fetch.continueRequest", &json!({ "requestId": id }));
            }
            Some("Fetch.authRequired") => {
                self.asked += 1;
                // A person gives up, too, when a token is wrong.
                let answer = match self.asked {
                    ..=3 => {
                        json!({ "response": "ProvideCredentials", "username": "", "password": self.token })
                    }
                    _ => json!({ "response": "CancelAuth" }),
                };
                self.send(
                    "Fetch.continueWithAuth",
                    &json!({ "requestId": id, "authChallengeResponse": answer }),
                );
            }
            _ => {}
        }
    }

    /// How often a server asked for a password.
    pub(crate) fn was_asked(&self) -> u32 {
        self.asked
    }

    pub(crate) fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url }));
        self.until("true");
    }

    /// The value of an expression. Works also where the page's own scripts are switched off.
    pub(crate) fn eval(&mut self, script: &str) -> Value {
        let params = json!({ "expression": script, "returnByValue": true, "awaitPromise": true });
        let result = self.call("Runtime.evaluate", params);
        assert!(result["exceptionDetails"].is_null(), "{script}: {result:#}");
        result["result"]["value"].clone()
    }

    pub(crate) fn text(&mut self) -> String {
        self.eval("document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// Wait for something on the page, and for all of the page: text is there before its style is.
    #[track_caller]
    pub(crate) fn until(&mut self, script: &str) {
        let loaded = format!("document.readyState === 'complete' && ({script})");
        for _ in 0..1200 {
            // Between two pages, there is none.
            let params = json!({ "expression": loaded, "returnByValue": true });
            if self.call("Runtime.evaluate", params)["result"]["value"] == true {
                return;
            }
            thread::sleep(Duration::from_millis(25));
        }
        self.shoot("never");
        let place = self.eval("location.href");
        panic!("never: {script} at {place}\n{}", self.text());
    }

    #[track_caller]
    pub(crate) fn until_text(&mut self, text: &str) {
        self.until(&format!(
            "document.body.innerText.toLowerCase().includes({})",
            json!(text.to_lowercase())
        ));
    }

    pub(crate) fn click(&mut self, selector: &str) {
        let selector = json!(selector);
        self.until(&format!("document.querySelector({selector}) !== null"));
        self.eval(&format!("document.querySelector({selector}).click()"));
    }

    /// As wide as that, in that theme.
    pub(crate) fn look(&mut self, width: u32, theme: &str) {
        let height = if width < 500 { 2600 } else { 1300 };
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 }),
        );
        let features = json!([{ "name": "prefers-color-scheme", "value": theme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// What must hold of the page however wide it is and whatever its colors are: nothing is cut off, and all text can be read.
    pub(crate) fn looks_right(&mut self, width: u32) {
        let wide = self.eval("document.documentElement.scrollWidth");
        assert!(wide.as_u64().unwrap() <= u64::from(width), "{wide} pixels in {width}");
        // Contrast as WCAG 2 defines it: 4.5 for text of that size.
        let script = r"(() => {
            const parse = (color) => color.match(/[\d.]+/g).map(Number);
            const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
                .map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
                .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
            const ground = (element) => {
                for (let at = element; at; at = at.parentElement) {
                    const color = parse(getComputedStyle(at).backgroundColor);
                    if (color.length < 4 || color[3] === 1) return color;
                }
                return [255, 255, 255];
            };
            const poor = [];
            for (const element of document.querySelectorAll('h1, h2, h3, p, span, button, a, strong, dt, dd, li, summary, label')) {
                if (element.innerText.trim() === '' || !element.checkVisibility() || element.closest('.unseen')) continue;
                const pair = [light(parse(getComputedStyle(element).color)), light(ground(element))].sort((a, b) => b - a);
                const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
                if (contrast < 4.5) poor.push(`${element.innerText.slice(0, 20)}: ${contrast.toFixed(2)}`);
            }
            return poor;
        })()";
        assert_eq!(self.eval(script), json!([]), "text that is hard to read");
        // Whatever can be operated has a name, and is large enough for a finger.
        let script = r"[...document.querySelectorAll('button, summary, input:not([type=hidden]), a')]
            .filter((element) => element.checkVisibility({ contentVisibilityAuto: true }))
            .filter((element) => (element.innerText || element.labels?.[0]?.innerText || '').trim() === ''
                || (element.matches('button, summary') && element.offsetHeight < 40))
            .map((element) => element.outerHTML)";
        assert_eq!(self.eval(script), json!([]), "what can be operated");
    }

    pub(crate) fn scripts(&mut self, on: bool) {
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": !on }));
    }

    /// Choose a file, as a person does. The page may put another field in the place of the one that was found, until it has a
    /// file.
    pub(crate) fn choose(&mut self, selector: &str, file: &std::path::Path) {
        let field = format!("document.querySelector({})", json!(selector));
        for _ in 0..100 {
            let found = self.call("Runtime.evaluate", json!({ "expression": field }));
            let object = found["result"]["objectId"].clone();
            self.call("DOM.setFileInputFiles", json!({ "objectId": object, "files": [file] }));
            if self.eval(&format!("{field}?.files.length")) == 1 {
                return;
            }
        }
        panic!("{selector} takes no file");
    }

    /// Write what is seen into the folder that `BISTABLE_SCREENSHOTS` names, if it names one. Gives the picture's size.
    pub(crate) fn shoot(&mut self, name: &str) -> usize {
        let shot =
            self.call("Page.captureScreenshot", json!({ "format": "png", "captureBeyondViewport": true }));
        let png = STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        if let Some(folder) = std::env::var_os("BISTABLE_SCREENSHOTS") {
            fs::create_dir_all(&folder).unwrap();
            fs::write(std::path::Path::new(&folder).join(format!("{name}.png")), &png).unwrap();
        }
        png.len()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.session.clear();
        self.send("Browser.close", &json!({}));
        let _ = self.process.wait();
    }
}
