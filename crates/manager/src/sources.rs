//! Where the host's package archive is: apt's own source lists, in both of their formats (sources.list(5)).
use std::fs;
use std::path::Path;

/// One archive of Debian that the host uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The archive's address, as the host's lists give it.
    pub uri: String,
    /// The keyring that signs it, if the list names one.
    pub signed_by: Option<String>,
}

/// Debian's main and security archives as the host reaches them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The main archive.
    pub main: Option<Source>,
    /// The security archive.
    pub security: Option<Source>,
}

impl Sources {
    /// What is configured under a directory such as `/etc/apt`.
    pub fn of_host(directory: &Path) -> Self {
        let mut sources = Self::default();
        sources.read_list(&fs::read_to_string(directory.join("sources.list")).unwrap_or_default());
        let parts = fs::read_dir(directory.join("sources.list.d")).into_iter().flatten().flatten();
        let mut paths: Vec<_> = parts.map(|part| part.path()).collect();
        paths.sort();
        for path in paths {
            let text = fs::read_to_string(&path).unwrap_or_default();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("list") => sources.read_list(&text),
                Some("sources") => sources.read_stanzas(&text),
                _ => {}
            }
        }
        sources
    }

    /// The one-line format: `deb [options] uri suite component…`.
    fn read_list(&mut self, text: &str) {
        for line in text.lines() {
            let Some(rest) = line.trim().strip_prefix("deb ") else { continue };
            let (options, rest) = match rest.trim_start().strip_prefix('[').and_then(|r| r.split_once(']')) {
                Some((options, rest)) => (options, rest),
                None => ("", rest),
            };
            let signed_by = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
            let mut words = rest.split_whitespace();
            if let (Some(uri), Some(suite)) = (words.next(), words.next()) {
                self.add(uri, suite, signed_by);
            }
        }
    }

    /// The deb822 format: stanzas of `Field: value`.
    fn read_stanzas(&mut self, text: &str) {
        for stanza in text.split("\n\n") {
            let field = |name: &str| {
                let lines = stanza.lines().filter_map(|line| line.split_once(':'));
                lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
            };
            if field("Enabled").is_some_and(|value| value == "no") {
                continue;
            }
            if !field("Types").is_some_and(|types| types.split_whitespace().any(|kind| kind == "deb")) {
                continue;
            }
            let words = |name| field(name).unwrap_or_default().split_whitespace();
            for uri in words("URIs") {
                for suite in words("Suites") {
                    // A key given in full spans lines and is left to apt's trusted keys.
                    self.add(uri, suite, field("Signed-By").filter(|key| key.starts_with('/')));
                }
            }
        }
    }

    fn add(&mut self, uri: &str, suite: &str, signed_by: Option<&str>) {
        let place = match uri.trim_end_matches('/').rsplit('/').next() {
            Some("debian") => &mut self.main,
            Some("debian-security") if suite.ends_with("-security") => &mut self.security,
            _ => return,
        };
        let signed_by = signed_by.map(str::to_owned);
        place.get_or_insert(Source { uri: uri.to_owned(), signed_by });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(uri: &str, signed_by: Option<&str>) -> Option<Source> {
        Some(Source { uri: uri.to_owned(), signed_by: signed_by.map(str::to_owned) })
    }

    #[test]
    fn stanzas_are_read() {
        let mut sources = Sources::default();
        sources.read_stanzas(
            "Types: deb\n# a comment: with a colon\nURIs: http://mirror.example/debian\nSuites: a a-updates\n\
             Components: main\nSigned-By: /keys/a.gpg\n\n\
             Types: deb-src\nURIs: http://src.example/debian-security\nSuites: a-security\n\n\
             Types: deb\nURIs: http://mirror.example/debian-security\nSuites: a-security\n",
        );
        assert_eq!(sources.main, source("http://mirror.example/debian", Some("/keys/a.gpg")));
        assert_eq!(sources.security, source("http://mirror.example/debian-security", None));
    }

    #[test]
    fn lines_are_read() {
        let mut sources = Sources::default();
        sources.read_list(
            "# deb http://off.example/debian a main\n\
             deb http://other.example/tools stable main\n\
             deb [arch=amd64 signed-by=/keys/b.gpg] http://mirror.example/debian/ a main\n",
        );
        assert_eq!(sources.main, source("http://mirror.example/debian/", Some("/keys/b.gpg")));
        assert_eq!(sources.security, None);
    }

    #[test]
    fn a_disabled_stanza_does_not_count() {
        let mut sources = Sources::default();
        sources.read_stanzas("Enabled: no\nTypes: deb\nURIs: http://mirror.example/debian\nSuites: a\n");
        assert_eq!(sources, Sources::default());
    }
}
