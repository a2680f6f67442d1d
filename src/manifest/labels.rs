//! The labels of a manifest.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

/// Labels by name. A sorted list takes far less memory than a map, for the few labels that each
/// manifest has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(Box<[(Box<str>, Box<str>)]>);

impl Labels {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a label.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.binary_search_by(|(key, _)| (**key).cmp(name));
        found.ok().and_then(|index| self.0.get(index)).map(|(_, value)| &**value)
    }

    /// Names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

impl From<BTreeMap<String, String>> for Labels {
    fn from(labels: BTreeMap<String, String>) -> Self {
        Self(labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_by_their_names() {
        let text = |text: &str| text.to_owned();
        let map = BTreeMap::from([(text("team"), text("compute")), (text("ring"), text(""))]);
        let labels = Labels::from(map);
        assert_eq!(labels.get("team"), Some("compute"));
        assert_eq!((labels.get("ring"), labels.get("rings")), (Some(""), None));
        let json = serde_json::to_string(&labels).unwrap();
        assert_eq!(json, r#"{"ring":"","team":"compute"}"#);
        assert!(Labels::default().is_empty() && !labels.is_empty());
    }
}
