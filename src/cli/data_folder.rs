//! Where a user's data goes when nobody says where (the XDG base directory specification). Creates nothing.

use std::path::{Path, PathBuf};

/// `$XDG_DATA_HOME/ottla`, or `~/.local/share/ottla`; `None` when the environment has neither. A relative path counts as not set.
pub(super) fn of(environment: &[(String, String)]) -> Option<PathBuf> {
    let absolute = |wanted: &str| {
        let found = environment.iter().find(|(name, _)| name == wanted).map(|(_, value)| Path::new(value))?;
        found.is_absolute().then(|| found.to_path_buf())
    };
    let base = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")))?;
    Some(base.join("ottla"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(pairs: &[(&str, &str)]) -> Option<PathBuf> {
        let environment: Vec<_> = pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        of(&environment)
    }

    #[test]
    fn follows_the_specification() {
        assert_eq!(folder(&[("HOME", "/home/ann")]), Some("/home/ann/.local/share/ottla".into()));
        assert_eq!(folder(&[("HOME", "/home/ann"), ("XDG_DATA_HOME", "/data")]), Some("/data/ottla".into()));
        assert_eq!(
            folder(&[("HOME", "/home/ann"), ("XDG_DATA_HOME", "data")]),
            Some("/home/ann/.local/share/ottla".into())
        );
        assert_eq!(folder(&[("HOME", "")]), None);
    }
}
