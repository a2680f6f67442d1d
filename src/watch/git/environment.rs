//! The environment and configuration of git.
//!
//! The user's configuration decides how the remote is reached: credentials, proxies, TLS, ssh,
//! `url.*.insteadOf`, which local repositories are safe. It decides nothing else, since any other
//! setting may change what is fetched or what the checkout contains. So both are allowlists, not
//! denylists: a setting that a later git adds has no effect here.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::remote::Remote;

pub(super) type Variables = BTreeMap<OsString, OsString>;

/// A credential helper that returns user name and password, and ignores requests to store or erase
/// them.
const HELPER: &str = "!f() { if test \"$1\" = get; then \
     printf 'username=%s\\npassword=%s\\n' \"$WATCHED_USER\" \"$WATCHED_PASSWORD\"; fi; }; f";

/// The ssh command: it never prompts, and gives up on a dead server.
const SSH: &str =
    "ssh -oBatchMode=yes -oConnectTimeout=30 -oServerAliveInterval=15 -oServerAliveCountMax=4";

/// git's own variables for reaching the remote and for finding git's programs. A name that ends
/// with `_` is a prefix.
const REACHING: [&str; 8] = [
    "GIT_ASKPASS",
    "GIT_EXEC_PATH",
    "GIT_HTTP_",
    "GIT_PROXY_SSL_",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT",
    "GIT_SSL_",
];

/// The prefix of variables that say where the user's configuration is.
const CONFIGURING: &str = "GIT_CONFIG_";

/// Variables that systemd sets for golive only. A child that notified systemd in golive's place
/// would keep it alive.
const OF_SYSTEMD: [&str; 6] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
];

/// The part of golive's environment that git gets.
pub(super) struct Environment {
    /// For reading the user's configuration.
    reading: Variables,
    /// Without that configuration.
    plain: Variables,
    /// The configuration of every run.
    settings: Vec<Setting>,
}

type Setting = (String, OsString);

impl Environment {
    /// `repository` is the clone's; `global` is the file that replaces the user's `~/.gitconfig`.
    pub(super) fn new(
        of_golive: Variables,
        remote: &Remote,
        repository: &Path,
        global: &Path,
    ) -> Self {
        let mut reading = of_golive;
        reading.retain(|name, _| is_taken_over(name));
        for (name, value) in [
            // Translations would hide the lines that begin with `fatal:`.
            ("LC_ALL", "C"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ALLOW_PROTOCOL", remote.protocols),
            ("GIT_OPTIONAL_LOCKS", "0"),
        ] {
            reading.insert(name.into(), value.into());
        }
        reading.entry("GCM_INTERACTIVE".into()).or_insert_with(|| "never".into());
        if let Some(login) = &remote.login {
            reading.insert("WATCHED_USER".into(), login.user.clone().into());
            let password = login.password.clone().unwrap_or_default();
            reading.insert("WATCHED_PASSWORD".into(), password.into());
        }
        let mut plain = reading.clone();
        plain.retain(|name, _| !upper(name).starts_with(CONFIGURING));
        plain.insert("GIT_CONFIG_NOSYSTEM".into(), "1".into());
        plain.insert("GIT_ATTR_NOSYSTEM".into(), "1".into());
        plain.insert("GIT_CONFIG_GLOBAL".into(), global.into());
        Self { reading, plain, settings: settings(remote, repository) }
    }

    /// For a run that lists the user's configuration.
    pub(super) fn reading(&self) -> &Variables {
        &self.reading
    }

    /// For a run without network: no user configuration applies.
    pub(super) fn local(&self) -> Variables {
        configured(self.plain.clone(), &self.settings)
    }

    /// For a run that reaches the remote.
    pub(super) fn remote(&self, users: &UsersConfiguration) -> Variables {
        let mut variables = self.plain.clone();
        let mut default = |name: &str, value: &str| {
            variables.entry(name.into()).or_insert_with(|| value.into());
        };
        if !users.has(|key| key.starts_with("http.") && key.contains(".lowspeed")) {
            // Less than one byte a second for a minute. A server that prepares a pack sends
            // progress.
            default("GIT_HTTP_LOW_SPEED_LIMIT", "1");
            default("GIT_HTTP_LOW_SPEED_TIME", "60");
        }
        let has_ssh = self.plain.contains_key(OsStr::new("GIT_SSH"));
        if !has_ssh && !users.has(|key| key == "core.sshcommand") {
            default("GIT_SSH_COMMAND", SSH);
        }
        // golive's own settings come last, and win.
        let settings: Vec<Setting> = users.settings.iter().chain(&self.settings).cloned().collect();
        configured(variables, &settings)
    }
}

/// The part of the user's configuration that is used.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct UsersConfiguration {
    settings: Vec<Setting>,
    /// `safe.directory`. It works only in a file: git hides its variables from the program that
    /// serves a local repository.
    safe: Vec<String>,
}

impl UsersConfiguration {
    /// Parses the output of `git config --list --null`.
    pub(super) fn parse(listed: &str) -> Self {
        let mut configuration = Self::default();
        for entry in listed.split('\0').filter(|entry| !entry.is_empty()) {
            // A key without a value is true.
            let (key, value) = entry.split_once('\n').unwrap_or((entry, "true"));
            if key == "safe.directory" {
                configuration.safe.push(value.to_owned());
            } else if says_how_to_reach(key) {
                configuration.settings.push((key.to_owned(), value.into()));
            }
        }
        configuration
    }

    /// The content of the file that replaces the user's own; `None` if it would be empty.
    pub(super) fn file(&self) -> Option<String> {
        let quoted = |text: &String| {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"");
            format!("\tdirectory = \"{}\"\n", text.replace('\n', "\\n").replace('\t', "\\t"))
        };
        let lines: String = self.safe.iter().map(quoted).collect();
        (!lines.is_empty()).then(|| format!("[safe]\n{lines}"))
    }

    fn has(&self, is_it: impl Fn(&str) -> bool) -> bool {
        self.settings.iter().any(|(key, _)| is_it(&key.to_ascii_lowercase()))
    }
}

/// Whether a configuration key is in the allowlist.
fn says_how_to_reach(key: &str) -> bool {
    let section = key.split('.').next().unwrap_or_default();
    matches!(section, "credential" | "http" | "ssh" | "url")
        || matches!(key, "core.askpass" | "core.sshcommand" | "protocol.version")
}

/// Whether git, or the run that reads its configuration, gets this variable.
fn is_taken_over(name: &OsStr) -> bool {
    let name = upper(name);
    let reaches =
        |known: &&str| name == **known || (known.ends_with('_') && name.starts_with(*known));
    if name.starts_with("GIT_") {
        return name.starts_with(CONFIGURING) || REACHING.iter().any(reaches);
    }
    !name.starts_with("GOLIVE_") && name != "LANGUAGE" && !OF_SYSTEMD.contains(&name.as_str())
}

fn upper(name: &OsStr) -> String {
    name.to_string_lossy().to_ascii_uppercase()
}

/// The configuration of every run.
fn settings(remote: &Remote, repository: &Path) -> Vec<Setting> {
    let mut settings: Vec<Setting> = [
        // Git checks out a link as a file that contains its target, so it leads nowhere.
        ("core.symlinks", "false"),
        // The files are byte for byte what was committed, on every system.
        ("core.eol", "lf"),
        ("core.longPaths", "true"),
        // The format whose lock files golive knows how to remove.
        ("init.defaultRefFormat", "files"),
        // No git process stays in the background.
        ("gc.autoDetach", "false"),
        ("maintenance.autoDetach", "false"),
        ("credential.interactive", "false"),
    ]
    .map(|(key, value)| (key.to_owned(), value.into()))
    .into();
    // Neither path exists, so that no hook runs, and only the repository's own attributes apply.
    settings.push(("core.hooksPath".to_owned(), repository.join("no-hooks").into()));
    settings.push(("core.attributesFile".to_owned(), repository.join("no-attributes").into()));
    if let Some(login) = &remote.login {
        let key = |name: &str| format!("credential.{}.{name}", login.origin);
        settings.push((key("username"), login.user.clone().into()));
        if login.password.is_some() {
            // The empty value resets the user's helpers: the credentials in the URL apply.
            settings.push((key("helper"), OsString::new()));
            settings.push((key("helper"), HELPER.into()));
        }
    }
    settings
}

fn configured(mut variables: Variables, settings: &[Setting]) -> Variables {
    for (number, (key, value)) in settings.iter().enumerate() {
        variables.insert(format!("GIT_CONFIG_KEY_{number}").into(), key.into());
        variables.insert(format!("GIT_CONFIG_VALUE_{number}").into(), value.clone());
    }
    variables.insert("GIT_CONFIG_COUNT".into(), settings.len().to_string().into());
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_configuration_counts_how_the_remote_is_reached() {
        let listed = "init.defaultobjectformat\nsha256\0http.proxy\nhttp://p:1\0http.sslverify\0\
            safe.directory\n/srv/a \"b\\c\"\0url.https://x/.insteadof\ngh:\0core.autocrlf\ntrue\0\
            core.sshcommand\nssh -v\0credential.helper\n\0filter.x.smudge\ntouch y\0\
            http.https://Host/.extraheader\nX: 1\n2\0";
        let users = UsersConfiguration::parse(listed);
        let settings: Vec<_> = users
            .settings
            .iter()
            .map(|(key, value)| (key.as_str(), value.to_str().unwrap()))
            .collect();
        assert_eq!(
            settings,
            [
                ("http.proxy", "http://p:1"),
                ("http.sslverify", "true"),
                ("url.https://x/.insteadof", "gh:"),
                ("core.sshcommand", "ssh -v"),
                ("credential.helper", ""),
                ("http.https://Host/.extraheader", "X: 1\n2"),
            ]
        );
        let file = "[safe]\n\tdirectory = \"/srv/a \\\"b\\\\c\\\"\"\n";
        assert_eq!(users.file().as_deref(), Some(file));
        assert_eq!(UsersConfiguration::parse("").file(), None);
    }

    #[test]
    fn of_the_variables_count_those_that_reach_the_remote() {
        for (name, counts) in [
            ("PATH", true),
            ("https_proxy", true),
            ("SSH_AUTH_SOCK", true),
            ("GIT_SSH", true),
            ("GIT_SSL_CAINFO", true),
            ("GIT_HTTP_USER_AGENT", true),
            ("GIT_CONFIG_GLOBAL", true),
            ("GIT_SSHX", false),
            ("GIT_DIR", false),
            ("git_dir", false),
            ("GIT_DEFAULT_HASH", false),
            ("GIT_TRACE_CURL", false),
            ("GIT_ANYTHING_NEW", false),
            ("GOLIVE_TOKEN", false),
            ("golive_token", false),
            ("LANGUAGE", false),
            ("NOTIFY_SOCKET", false),
        ] {
            assert_eq!(is_taken_over(OsStr::new(name)), counts, "{name}");
        }
    }
}
