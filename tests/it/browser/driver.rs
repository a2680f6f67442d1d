//! A browser for one test: chromedriver on a free port, and Chromium with a temporary profile.

use std::io::{BufRead as _, BufReader};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use futures_util::FutureExt as _;
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::{ParseError, Url};

/// The timeout for changes of the page.
const PATIENCE: Duration = Duration::from_secs(10);

/// The installed tools.
pub(super) struct Tools {
    chromium: PathBuf,
    chromedriver: PathBuf,
    /// The source of axe-core.
    pub(super) axe: String,
}

impl Tools {
    /// Finds the tools; the error says what is missing.
    pub(super) fn find() -> Result<Self, String> {
        let chromium = ["chromium", "chromium-browser", "google-chrome"];
        let chromium = chromium.into_iter().find_map(on_path).ok_or("there is no chromium")?;
        let chromedriver = on_path("chromedriver").ok_or("there is no chromedriver")?;
        let axe = std::env::var_os("GOLIVE_AXE").ok_or("GOLIVE_AXE does not name axe.min.js")?;
        let axe = std::fs::read_to_string(&axe)
            .map_err(|error| format!("GOLIVE_AXE: {}: {error}", axe.display()))?;
        Ok(Self { chromium, chromedriver, axe })
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// A driver process, killed on drop.
struct Driver {
    process: Child,
    port: u16,
    _home: TempDir,
}

impl Driver {
    fn start(tools: &Tools) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut process = Command::new(&tools.chromedriver)
            .arg("--port=0")
            .env("HOME", home.path())
            .env("TMPDIR", home.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let port = line.strip_prefix("ChromeDriver was started successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        // Drain its output, or it would block.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { process, port: port.unwrap(), _home: home }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Runs a test in a new browser, and ends the browser even if the test panics.
pub(super) async fn browse<T>(tools: &Tools, scripts: bool, test: impl AsyncFnOnce(Tab) -> T) -> T {
    let driver = Driver::start(tools);
    let profile = tempfile::tempdir().unwrap();
    let profile_arg = format!("--user-data-dir={}", profile.path().display());
    let args = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        &profile_arg,
    ];
    let mut options = json!({ "binary": tools.chromium, "args": args });
    if !scripts {
        options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
    }
    let capabilities = json!({
        "goog:chromeOptions": options,
        "goog:loggingPrefs": { "browser": "ALL" },
    });
    let Value::Object(capabilities) = capabilities else { unreachable!("it is an object") };
    let client = ClientBuilder::new(HttpConnector::new())
        .capabilities(capabilities)
        .connect(&format!("http://127.0.0.1:{}", driver.port))
        .await
        .unwrap();
    let outcome = AssertUnwindSafe(test(Tab(client.clone()))).catch_unwind().await;
    client.close().await.unwrap();
    drop(driver);
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The one tab.
pub(super) struct Tab(pub(super) Client);

impl Tab {
    /// Runs a script and returns its result.
    pub(super) async fn run(&self, script: &str) -> Value {
        self.0.execute(script, Vec::new()).await.unwrap()
    }

    /// Waits until a script returns `true`.
    #[track_caller]
    pub(super) fn until(&self, script: &str) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let seen = async {
                while self.run(&format!("return {script}")).await != json!(true) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            let seen = tokio::time::timeout(PATIENCE, seen).await;
            assert!(
                seen.is_ok(),
                "{caller}: not seen: {script}\n{}",
                self.0.source().await.unwrap()
            );
        }
    }

    /// Waits until the page receives events.
    pub(super) async fn connected(&self) {
        self.until("document.getElementById('link').textContent === 'Connected'").await;
    }

    /// Sends a command of the Chrome `DevTools` protocol.
    async fn command(&self, name: &str, parameters: &Value) {
        let body = json!({ "cmd": name, "params": parameters });
        self.0.issue_cmd(Post { path: "goog/cdp/execute", body }).await.unwrap();
    }

    /// Emulates a screen width and a color scheme.
    pub(super) async fn look(&self, width: u32, scheme: &str) {
        let size = json!({
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500,
        });
        self.command("Emulation.setDeviceMetricsOverride", &size).await;
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.command("Emulation.setEmulatedMedia", &json!({ "features": features })).await;
    }

    /// The browser's log entries since the last call.
    pub(super) async fn console_errors(&self) -> Vec<Value> {
        let log = Post { path: "se/log", body: json!({ "type": "browser" }) };
        let log = self.0.issue_cmd(log).await.unwrap();
        let entries = log.as_array().unwrap().iter();
        entries.filter(|entry| entry["level"] == "SEVERE").cloned().collect()
    }
}

/// A command specific to chromedriver.
#[derive(Debug)]
struct Post {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Post {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}
