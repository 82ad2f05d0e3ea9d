//! Reads the JSON files that Kafka's tools take, and tells of a wrong one in words like theirs (`org.apache.kafka.server.util.json`).

use std::path::Path;

use super::Fault;

/// A file's text.
///
/// # Errors
/// The file's path with what the system says.
pub fn read(path: &Path) -> Result<String, Fault> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => Err(Fault::thrown(format!("Unable to read file {}: {error}", path.display()))),
    }
}

/// A value in a document.
#[derive(Clone, Debug)]
pub struct Json(serde_json::Value);

impl Json {
    /// `None` for what is no JSON.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }

    fn wrong(&self, wanted: &str) -> Fault {
        Fault::thrown(format!("Expected `{wanted}` value, received {}", self.0))
    }

    /// A field of an object.
    ///
    /// # Errors
    /// When this is no object.
    pub fn find(&self, field: &str) -> Result<Option<Self>, Fault> {
        match &self.0 {
            serde_json::Value::Object(fields) => Ok(fields.get(field).cloned().map(Self)),
            _ => Err(Fault::thrown(format!("Expected JSON object, received {}", self.0))),
        }
    }

    /// A field that must be there.
    ///
    /// # Errors
    /// As [`Self::find`], and when it is not.
    pub fn get(&self, field: &str) -> Result<Self, Fault> {
        self.find(field)?.ok_or_else(|| Fault::thrown(format!("No such field exists: `{field}`")))
    }

    /// # Errors
    /// When this is no array.
    pub fn elements(&self) -> Result<Vec<Self>, Fault> {
        match &self.0 {
            serde_json::Value::Array(all) => Ok(all.iter().cloned().map(Self).collect()),
            _ => Err(Fault::thrown(format!("Expected JSON array, received {}", self.0))),
        }
    }

    /// # Errors
    /// When this is no text.
    pub fn text(&self) -> Result<String, Fault> {
        self.0.as_str().map(str::to_owned).ok_or_else(|| self.wrong("String"))
    }

    /// # Errors
    /// When this is no whole number of 32 bits.
    pub fn integer(&self) -> Result<i32, Fault> {
        self.0.as_i64().and_then(|number| i32::try_from(number).ok()).ok_or_else(|| self.wrong("Integer"))
    }

    /// # Errors
    /// When this is no whole number of 64 bits.
    pub fn long(&self) -> Result<i64, Fault> {
        self.0.as_i64().ok_or_else(|| self.wrong("Long"))
    }
}
