//! Names of guests, as one label of a domain name.

/// Characters of a label at most (RFC 1035 §2.3.4).
const LABEL_MAX: usize = 63;

/// Makes a label of what somebody calls himself: its first part, in lower case, with a dash for each run of what a host name
/// cannot have (RFC 1123 §2.1). `None` if nothing remains.
pub fn label(name: &[u8]) -> Option<String> {
    let first = name.split(|&byte| byte == b'.').next().unwrap_or_default();
    let mut label = String::new();
    for byte in first.iter().take(255).map(u8::to_ascii_lowercase) {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' => label.push(byte.into()),
            _ if label.is_empty() || label.ends_with('-') => {}
            _ => label.push('-'),
        }
        if label.len() == LABEL_MAX {
            break;
        }
    }
    label.truncate(label.trim_end_matches('-').len());
    (!label.is_empty()).then_some(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_clean() {
        for (name, expected) in [
            ("web", Some("web")),
            ("Web_Server 1", Some("web-server-1")),
            ("host.example.org", Some("host")),
            ("--a--", Some("a")),
            ("\0\n;$(rm)", Some("rm")),
            ("é", None),
            ("", None),
            (".x", None),
        ] {
            assert_eq!(label(name.as_bytes()).as_deref(), expected, "{name:?}");
        }
        assert_eq!(label(&[b'a'; 300]).map(|label| label.len()), Some(63));
    }
}
