//! The followed repository; keeps its user name and password out of every text.

use percent_encoding::percent_decode_str;
use url::Url;

use super::error::GitError;
use crate::net::is_loopback;

/// A user name of at least this length may be an access token.
const LIKE_A_TOKEN: usize = 20;

/// A repository's URL, split into the part to show and the part for git.
#[derive(Clone)]
pub(super) struct Remote {
    /// The URL without user name and password.
    pub(super) shown: String,
    /// The address that git fetches from. Over HTTP it contains no user name or password, so that
    /// neither appears in the process list or in git's output.
    pub(super) address: String,
    /// The protocols that git may use.
    pub(super) protocols: &'static str,
    /// The login at an HTTP server.
    pub(super) login: Option<Login>,
    user: Option<String>,
}

/// A login for one origin.
#[derive(Clone)]
pub(super) struct Login {
    /// Scheme, host and port: no other origin gets the login.
    pub(super) origin: String,
    pub(super) user: String,
    pub(super) password: Option<String>,
    /// The password as encoded in the URL.
    encoded: String,
}

impl Remote {
    /// Parses the command line value: a URL, `host:path` in ssh's syntax, or a path.
    pub(super) fn parse(text: &str) -> Result<Self, GitError> {
        if text.is_empty() || text.starts_with('-') || text.chars().any(char::is_control) {
            return Err(GitError::Url("give the URL of a git repository"));
        }
        let local = |shown: &str, address: String| Self {
            shown: shown.to_owned(),
            address,
            protocols: "file",
            login: None,
            user: None,
        };
        if let Some((scheme, _)) = text.split_once("://") {
            return match scheme.to_ascii_lowercase().as_str() {
                "https" | "http" => Self::over_http(text),
                "ssh" | "git+ssh" | "ssh+git" => Self::over_ssh(text),
                "file" => Ok(local(text, text.to_owned())),
                _ => Err(GitError::Url(
                    "only https://, ssh:// and file:// are followed, and http:// on this machine",
                )),
            };
        }
        let head = text.split('/').next().unwrap_or_default();
        if head.contains("::") {
            return Err(GitError::Url("remote helpers (name::…) are not used; give a plain URL"));
        }
        // `C:` isn't a host.
        let is_drive = cfg!(windows) && head.find(':') == Some(1);
        if let Some((before, _)) = head.split_once(':').filter(|_| !is_drive) {
            return Self::like_scp(text, before);
        }
        let path = std::path::absolute(text).map_err(GitError::files("find", text))?;
        let path = path.into_os_string().into_string();
        Ok(local(text, path.map_err(|_| GitError::Url("the path isn't valid Unicode"))?))
    }

    fn over_http(text: &str) -> Result<Self, GitError> {
        let mut url = Url::parse(text).map_err(|_| GitError::Url("this is not a URL"))?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(GitError::Url("the URL has a query or a fragment; leave it out"));
        }
        let here = is_loopback(&url);
        if url.scheme() == "http" && !here {
            return Err(GitError::Url(
                "http:// is allowed only for this machine: on a network, someone could change the \
                 manifests; use https:// or ssh://",
            ));
        }
        let login = Login::of(&url, text)?;
        // Both fail only for URLs that can't have a user.
        (url.set_username(""), url.set_password(None)).0.ok();
        let protocols = if here { "http:https:ssh:file" } else { "https:ssh:file" };
        let user = login.as_ref().map(|login| login.user.clone());
        Ok(Self { shown: url.to_string(), address: url.to_string(), protocols, login, user })
    }

    fn over_ssh(text: &str) -> Result<Self, GitError> {
        let mut url = Url::parse(text).map_err(|_| GitError::Url("this is not a URL"))?;
        if url.password().is_some() {
            return Err(GitError::Url("ssh takes no password from a URL; use a key"));
        }
        if url.host_str().is_none_or(|host| host.is_empty() || host.starts_with('-')) {
            return Err(GitError::Url("the URL has no host"));
        }
        let user = Some(url.username().to_owned()).filter(|user| !user.is_empty());
        url.set_username("").ok();
        let (shown, address) = (url.to_string(), text.to_owned());
        Ok(Self { shown, address, protocols: "https:ssh:file", login: None, user })
    }

    fn like_scp(text: &str, before: &str) -> Result<Self, GitError> {
        let (user, host) = match before.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, before),
        };
        if host.is_empty() || host.starts_with('-') {
            return Err(GitError::Url("there is no host before the colon"));
        }
        let shown = text[before.len() - host.len()..].to_owned();
        let address = text.to_owned();
        Ok(Self { shown, address, protocols: "https:ssh:file", login: None, user })
    }

    /// Removes the URL's secrets from git's output, and the user name and password of any other URL
    /// in it: the configuration may have substituted one.
    pub(super) fn scrub(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.secrets() {
            text = text.replace(secret, "…");
        }
        if let Some(user) = &self.user {
            text = text.replace(&format!("{user}@"), "");
        }
        without_users(&text)
    }

    fn secrets(&self) -> impl Iterator<Item = &str> {
        let login = self.login.iter();
        let passwords =
            login.flat_map(|it| it.password.as_deref().into_iter().chain([&*it.encoded]));
        let token = self.user.as_deref().filter(|user| user.len() >= LIKE_A_TOKEN);
        passwords.chain(token).filter(|secret| !secret.is_empty())
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Remote").field(&self.shown).finish()
    }
}

impl Login {
    fn of(url: &Url, text: &str) -> Result<Option<Self>, GitError> {
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8().ok()?;
            (!text.chars().any(char::is_control)).then(|| text.into_owned())
        };
        let wrong = GitError::Url("the user name or password in the URL has a control character");
        let (Some(user), Some(password)) =
            (decoded(url.username()), decoded(url.password().unwrap_or_default()))
        else {
            return Err(wrong);
        };
        // `user:@host` is an empty password, which some servers want beside a token.
        let userinfo = text.split("://").nth(1).and_then(|it| it.split('/').next());
        let userinfo = userinfo.and_then(|it| it.rsplit_once('@')).map_or("", |it| it.0);
        let has_password = userinfo.contains(':');
        if user.is_empty() && !has_password {
            return Ok(None);
        }
        Ok(Some(Self {
            origin: url.origin().ascii_serialization(),
            user,
            password: has_password.then_some(password),
            encoded: url.password().unwrap_or_default().to_owned(),
        }))
    }
}

/// Removes the text between `://` and `@` from every URL.
fn without_users(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let ends = |c: char| c.is_whitespace() || matches!(c, '/' | '\'' | '"' | '`' | '<' | '>');
        let authority = &after[..after.find(ends).unwrap_or(after.len())];
        rest = &after[authority.rfind('@').map_or(0, |at| at + 1)..];
    }
    clean + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_has_no_user_and_git_over_http_is_told_none() {
        for (text, shown, address) in [
            ("https://host/a.git", "https://host/a.git", "https://host/a.git"),
            ("https://me:pa%40ss@host:8443/a", "https://host:8443/a", "https://host:8443/a"),
            (
                "https://me@dev.example/me/_git/a",
                "https://dev.example/me/_git/a",
                "https://dev.example/me/_git/a",
            ),
            ("http://t:x@127.0.0.1:1/a", "http://127.0.0.1:1/a", "http://127.0.0.1:1/a"),
            ("ssh://git@host:22/a", "ssh://host:22/a", "ssh://git@host:22/a"),
            ("git@host:team/a.git", "host:team/a.git", "git@host:team/a.git"),
            ("host:a", "host:a", "host:a"),
            ("file:///srv/a", "file:///srv/a", "file:///srv/a"),
            ("/srv/a b", "/srv/a b", "/srv/a b"),
        ] {
            let remote = Remote::parse(text).unwrap();
            assert_eq!((remote.shown.as_str(), remote.address.as_str()), (shown, address));
        }
        let relative = Remote::parse("./a").unwrap();
        assert!(std::path::Path::new(&relative.address).is_absolute(), "{relative:?}");
    }

    #[test]
    fn who_golive_is_stands_beside_the_url() {
        let login = |text| Remote::parse(text).unwrap().login;
        let it = login("https://me:pa%40ss@host:8443/a").unwrap();
        assert_eq!((it.origin.as_str(), it.user.as_str()), ("https://host:8443", "me"));
        assert_eq!(it.password.as_deref(), Some("pa@ss"));
        assert_eq!(login("https://me@host/a").unwrap().password, None);
        assert_eq!(login("https://me:@host/a").unwrap().password.as_deref(), Some(""));
        assert!(login("https://host/a@b:c").is_none());
    }

    #[test]
    fn what_can_not_be_followed_says_so_and_shows_nothing() {
        for text in [
            "",
            "-u",
            "--upload-pack=touch x",
            "ext::sh -c true",
            "fd::17/x",
            "ftp://s3cr3t@host/a",
            "git://host/a",
            "http://s3cr3t@example.com/a",
            "https://",
            "https://host/?token=s3cr3t",
            "https://a:s3cr3t%0a@host/x",
            "ssh://a:s3cr3t@host/x",
            "ssh://-oProxyCommand=x/y",
            "a@-oProxyCommand=x:y",
            "https://host/\n",
        ] {
            let error = Remote::parse(text).unwrap_err().to_string();
            assert!(error.starts_with("--git: ") && !error.contains("s3cr3t"), "{text}: {error}");
        }
    }

    #[test]
    fn texts_lose_user_and_password() {
        let remote = Remote::parse("https://me:pa%40ss@host/me/a").unwrap();
        for (text, clean) in [
            ("for 'https://me@host': no", "for 'https://host': no"),
            ("it says pa@ss, pa%40ss", "it says …, …"),
            (
                "at https://x:y@z@other/a@b and https://host/me/a",
                "at https://other/a@b and https://host/me/a",
            ),
            ("://@://a@", "://://"),
            ("none", "none"),
        ] {
            assert_eq!(remote.scrub(text), clean);
        }
        let token = Remote::parse("https://ghp_0123456789abcdefghij@host/a").unwrap();
        assert_eq!(token.scrub("x ghp_0123456789abcdefghij"), "x …");
        let ssh = Remote::parse("git@host:a").unwrap();
        assert_eq!(ssh.scrub("git@host: Permission denied"), "host: Permission denied");
    }
}
