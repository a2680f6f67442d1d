//! Notifies systemd that the service is ready, alive or stopping.
//!
//! Without a listener (no `NOTIFY_SOCKET`, or not on Unix), nothing happens and nothing fails: the
//! service must not end because of that.

use std::time::Duration;

/// The service is ready: systemd may start the units that wait for it.
pub fn ready() {
    os::tell(os::State::Ready);
}

/// The service is about to stop, on request.
pub fn stopping() {
    os::tell(os::State::Stopping);
}

/// The service is alive. Call it at least every [`watchdog_interval`].
pub fn alive() {
    os::tell(os::State::Watchdog);
}

/// How often to call [`alive`]: twice within the time after which systemd restarts the service.
/// `None` if systemd doesn't watch this process.
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    let interval = os::watchdog()? / 2;
    (!interval.is_zero()).then_some(interval)
}

#[cfg(unix)]
mod os {
    use std::time::Duration;

    pub(super) use sd_notify::NotifyState as State;

    pub(super) fn tell(state: State<'_>) {
        if let Err(error) = sd_notify::notify(&[state]) {
            tracing::debug!("systemd can't be told: {error}");
        }
    }

    pub(super) fn watchdog() -> Option<Duration> {
        sd_notify::watchdog_enabled()
    }
}

#[cfg(not(unix))]
mod os {
    use std::time::Duration;

    pub(super) enum State {
        Ready,
        Stopping,
        Watchdog,
    }

    pub(super) fn tell(state: State) {
        match state {
            State::Ready | State::Stopping | State::Watchdog => {}
        }
    }

    pub(super) fn watchdog() -> Option<Duration> {
        None
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::process::Command;

    use super::*;

    /// Not a test: what [`told`] runs in a process of its own, whose environment no other test sees.
    #[test]
    #[ignore = "run by the other tests, in a process of its own"]
    fn tell_all() {
        let log = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG);
        log.with_ansi(false).with_writer(std::io::stdout).init();
        ready();
        println!("interval: {:?}", watchdog_interval());
        alive();
        stopping();
    }

    /// Runs [`tell_all`] in an environment; returns the interval, and how many messages could not be
    /// sent.
    fn told(variables: &[(&str, &str)]) -> (String, usize) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "--ignored", "--nocapture", "watch::systemd::tests::tell_all"]);
        command.env_clear().envs(variables.iter().copied());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("1 passed"), "{text}");
        assert_eq!(output.stderr, b"");
        let interval = text.lines().find_map(|line| Some(line.split_once("interval: ")?.1));
        (interval.unwrap().to_owned(), text.matches("systemd can't be told").count())
    }

    fn received(socket: &UnixDatagram) -> Vec<String> {
        socket.set_nonblocking(true).unwrap();
        let mut messages = Vec::new();
        let mut buffer = [0; 1024];
        while let Ok(count) = socket.recv(&mut buffer) {
            messages.push(String::from_utf8_lossy(&buffer[..count]).trim_end().to_owned());
        }
        messages
    }

    #[test]
    fn systemd_hears_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let path = path.to_str().unwrap();
        let told_at_first = told(&[("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "30000000")]);
        assert_eq!(told_at_first, ("Some(15s)".to_owned(), 0));
        let expected = ["READY=1", "WATCHDOG=1", "STOPPING=1"];
        assert_eq!(received(&socket), expected);
        // What is meant for another process is not taken.
        for watchdog in [("WATCHDOG_PID", "1"), ("WATCHDOG_USEC", "0"), ("WATCHDOG_USEC", "x")] {
            let told = told(&[("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "30000000"), watchdog]);
            assert_eq!(told, ("None".to_owned(), 0), "{watchdog:?}");
            assert_eq!(received(&socket), expected, "{watchdog:?}");
        }
    }

    #[test]
    fn where_nobody_listens_nothing_happens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let there = path.to_str().unwrap();
        assert_eq!(told(&[]), ("None".to_owned(), 0), "nothing is tried");
        for nobody in [there, ""] {
            // Each of the three messages fails, and the process goes on.
            assert_eq!(told(&[("NOTIFY_SOCKET", nobody)]), ("None".to_owned(), 3), "{nobody:?}");
        }
        assert!(!path.exists());
    }
}
