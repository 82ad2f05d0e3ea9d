//! `meta.properties` of a log directory, in Kafka's form: which cluster and node the directory belongs to, so that a directory is never mixed up, and never
//! taken from somebody else.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;
use uuid::Uuid;

use crate::config::image::APACHE_CLUSTER_ID;
use crate::config::properties;
use crate::types::BrokerId;

pub const FILE: &str = "meta.properties";

/// What a directory has that a store of Ottla's has been in (`store/disk.rs`).
const OWN: &str = "store.properties";

/// What a directory has that Kafka kept records or metadata in. A directory that Kafka's tools have only formatted has none of these.
const KAFKAS: &[&str] = &[
    "__cluster_metadata-0",
    "cleaner-offset-checkpoint",
    "log-start-offset-checkpoint",
    "recovery-point-offset-checkpoint",
    "replication-offset-checkpoint",
];

/// Kafka's version of the file for KRaft.
const VERSION: &str = "1";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    pub cluster_id: String,
    pub node_id: BrokerId,
    /// The directory's own id (KIP-858); `None` in a file of a version that gave none.
    pub directory_id: Option<Uuid>,
}

impl MetaProperties {
    /// For a directory that is new: it gets an id of its own.
    pub fn new(cluster_id: impl Into<String>, node_id: BrokerId) -> Self {
        Self { cluster_id: cluster_id.into(), node_id, directory_id: Some(random_id()) }
    }
}

/// What a node's directories say together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    pub cluster_id: String,
    /// In the order of the directories.
    pub directory_ids: Vec<Uuid>,
}

#[derive(Debug, Error)]
pub enum MetaError {
    #[error("{path}: {source}{}", hint(source))]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} is not readable as a properties file with version=1, cluster.id and node.id: {what}")]
    Unreadable { path: PathBuf, what: String },
    #[error(
        "{path} belongs to node {stored} of its cluster, but node.id is {configured}: set node.id={stored}, or another log.dirs"
    )]
    OtherNode { path: PathBuf, stored: BrokerId, configured: BrokerId },
    #[error(
        "{path} belongs to cluster {stored}, but the configured cluster id is {configured}: use another log.dirs, or that cluster id"
    )]
    OtherCluster { path: PathBuf, stored: String, configured: String },
    #[error(
        "{path} holds data of Apache Kafka ({found}), which Ottla cannot read: set log.dirs to an empty folder, or give this container a new volume"
    )]
    OfKafka { path: PathBuf, found: String },
    #[error(
        "{path} holds files of something else ({found}): set log.dirs to an empty folder, so that nothing is mixed up"
    )]
    OfOthers { path: PathBuf, found: String },
}

/// What to do where a folder is not this process's to use.
pub fn hint(error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return String::new();
    }
    let user = rustix::process::geteuid().as_raw();
    format!("; this process runs as user {user}: give it the folder (chown {user}), or run it as the folder's owner")
}

/// Refuses a directory that is in use by something else. One that is not there, or empty, is in nobody's.
///
/// # Errors
/// [`MetaError::OfKafka`], [`MetaError::OfOthers`], and that it cannot be read.
pub fn check_owner(directory: &Path) -> Result<(), MetaError> {
    let wrong = |source| MetaError::Io { path: directory.to_owned(), source };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(wrong(source)),
    };
    let (mut own, mut kafkas, mut others) = (false, None, None);
    for entry in entries {
        let entry = entry.map_err(wrong)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        match name.as_str() {
            OWN | FILE => own |= name == OWN,
            "meta.properties.tmp" | "bootstrap.checkpoint" | "LOCK" => {}
            _ if KAFKAS.contains(&name.as_str()) => kafkas = Some(name),
            // Folders and hidden files may be a volume's own, as lost+found is.
            _ if !name.starts_with('.') && entry.file_type().is_ok_and(|kind| kind.is_file()) => others = Some(name),
            _ => {}
        }
    }
    let path = directory.to_owned();
    match (kafkas, others) {
        _ if own => Ok(()),
        (Some(found), _) => Err(MetaError::OfKafka { path, found }),
        (None, Some(found)) => Err(MetaError::OfOthers { path, found }),
        (None, None) => Ok(()),
    }
}

/// Reads the directory's file, if it has one.
pub fn read(directory: &Path) -> Result<Option<MetaProperties>, MetaError> {
    let path = directory.join(FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(MetaError::Io { path, source }),
    };
    let pairs = properties::parse(text.as_bytes())
        .map_err(|error| MetaError::Unreadable { path: path.clone(), what: error.to_string() })?;
    let get = |name: &str| pairs.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.trim().to_owned());
    let missing = |name: &str| MetaError::Unreadable { path: path.clone(), what: format!("{name} is missing") };
    let version = get("version").ok_or_else(|| missing("version"))?;
    if version == "0" {
        let found = "meta.properties of the time of ZooKeeper".to_owned();
        return Err(MetaError::OfKafka { path: directory.to_owned(), found });
    }
    if version != VERSION {
        return Err(MetaError::Unreadable { path, what: format!("version is {version}") });
    }
    let cluster_id = get("cluster.id").ok_or_else(|| missing("cluster.id"))?;
    let node_id = get("node.id").ok_or_else(|| missing("node.id"))?;
    let node_id = node_id
        .parse()
        .map_err(|_| MetaError::Unreadable { path: path.clone(), what: format!("node.id is {node_id}") })?;
    let directory_id = match get("directory.id") {
        None => None,
        Some(text) => Some(from_base64(&text).ok_or_else(|| MetaError::Unreadable {
            path: path.clone(),
            what: format!("directory.id is {text}, and must be 22 characters of URL-safe base64"),
        })?),
    };
    Ok(Some(MetaProperties { cluster_id, node_id, directory_id }))
}

/// Settles which cluster the directories belong to: the one that they name, the one that is configured, or a new one. Marks directories that are new, and
/// gives an id to those that have none.
pub fn settle(directories: &[PathBuf], node_id: BrokerId, configured: Option<&str>) -> Result<Settled, MetaError> {
    let mut known: Option<(PathBuf, String)> = None;
    let mut ids = Vec::new();
    for directory in directories {
        let path = directory.join(FILE);
        check_owner(directory)?;
        match read(directory)? {
            None => ids.push(None),
            Some(found) if found.node_id != node_id => {
                return Err(MetaError::OtherNode { path, stored: found.node_id, configured: node_id });
            }
            Some(found) => {
                // That id stands for none: the image takes it where nobody says one, and Kafka then keeps to the directory's.
                let claimed = configured.filter(|id| *id != APACHE_CLUSTER_ID);
                let wanted = claimed.or(known.as_ref().map(|(_, id)| id.as_str()));
                if let Some(wanted) = wanted.filter(|wanted| *wanted != found.cluster_id) {
                    let configured = wanted.to_owned();
                    return Err(MetaError::OtherCluster { path, stored: found.cluster_id, configured });
                }
                known = Some((path, found.cluster_id));
                ids.push(found.directory_id);
            }
        }
    }
    let cluster_id = known.map(|(_, id)| id).or(configured.map(str::to_owned)).unwrap_or_else(random_cluster_id);
    let mut directory_ids = Vec::new();
    for (directory, known_id) in directories.iter().zip(ids) {
        let id = known_id.unwrap_or_else(random_id);
        if known_id.is_none() {
            write(directory, &MetaProperties { cluster_id: cluster_id.clone(), node_id, directory_id: Some(id) })?;
        }
        directory_ids.push(id);
    }
    Ok(Settled { cluster_id, directory_ids })
}

/// Durable before it is used: written beside, synced, renamed, and the directory synced.
///
/// # Errors
/// [`MetaError::Io`].
pub fn write(directory: &Path, meta: &MetaProperties) -> Result<(), MetaError> {
    let path = directory.join(FILE);
    let wrong = |source| MetaError::Io { path: path.clone(), source };
    let beside = directory.join("meta.properties.tmp");
    let mut file = File::create(&beside).map_err(wrong)?;
    let directory_id = meta.directory_id.map(|id| format!("directory.id={}\n", base64(id))).unwrap_or_default();
    let text = format!("version={VERSION}\ncluster.id={}\nnode.id={}\n{directory_id}", meta.cluster_id, meta.node_id);
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(wrong)?;
    fs::rename(&beside, &path).map_err(wrong)?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(wrong)
}

/// A random id in the form of Kafka's `Uuid.toString`: 22 characters of URL-safe base64, none that begins with a dash.
pub fn random_cluster_id() -> String {
    base64(random_id())
}

/// A random id whose text does not begin with a dash.
fn random_id() -> Uuid {
    loop {
        let id = Uuid::new_v4();
        if !base64(id).starts_with('-') {
            return id;
        }
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The id that [`base64`] gives this text for.
fn from_base64(text: &str) -> Option<Uuid> {
    let mut bits = 0_u128;
    for byte in text.bytes().take(21) {
        bits = bits << 6 | ALPHABET.iter().position(|known| *known == byte)? as u128;
    }
    // Of the last character, two bits count.
    let last = text.as_bytes().get(21).copied().and_then(|byte| ALPHABET.iter().position(|known| *known == byte))?;
    (text.len() == 22 && last & 15 == 0).then(|| Uuid::from_u128(bits << 2 | (last >> 4) as u128))
}

fn base64(id: Uuid) -> String {
    let bits = id.as_u128();
    // 21 characters of six bits, and one of the two that are left.
    let mut text: String = (0..21)
        .map(|place| (bits >> (122 - 6 * place)) as usize & 63)
        .filter_map(|six| ALPHABET.get(six).map(|byte| char::from(*byte)))
        .collect();
    text.extend(ALPHABET.get((bits as usize & 3) << 4).map(|byte| char::from(*byte)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_directory_gets_a_cluster_that_it_keeps() {
        let folder = tempfile::tempdir().unwrap();
        let directories = [folder.path().to_path_buf()];
        let first = settle(&directories, 3, None).unwrap();
        assert_eq!(first.cluster_id.len(), 22);
        assert_eq!(settle(&directories, 3, None).unwrap(), first);
        assert!(matches!(settle(&directories, 4, None), Err(MetaError::OtherNode { stored: 3, .. })));
        assert!(matches!(settle(&directories, 3, Some("x")), Err(MetaError::OtherCluster { .. })));
        assert_eq!(
            settle(&directories, 3, Some(APACHE_CLUSTER_ID)).unwrap(),
            first,
            "the image's preset claims nothing"
        );
    }

    #[test]
    fn the_configured_cluster_is_taken_and_a_second_directory_joins_it() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        settle(&[a.path().to_path_buf()], 1, Some("5L6g3nShT-eMCtK--X86sw")).unwrap();
        let both = [b.path().to_path_buf(), a.path().to_path_buf()];
        assert_eq!(settle(&both, 1, None).unwrap().cluster_id, "5L6g3nShT-eMCtK--X86sw");
        assert_eq!(read(b.path()).unwrap().map(|meta| meta.node_id), Some(1));
    }

    #[test]
    fn what_belongs_to_others_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let directories = [folder.path().to_path_buf()];
        fs::create_dir(folder.path().join("lost+found")).unwrap();
        fs::write(folder.path().join(".user_scripts_initialized"), "").unwrap();
        check_owner(folder.path()).unwrap();
        fs::write(folder.path().join("PG_VERSION"), "15").unwrap();
        let said = settle(&directories, 1, None).unwrap_err().to_string();
        assert!(said.contains("PG_VERSION") && said.contains("log.dirs"), "{said}");
        fs::remove_file(folder.path().join("PG_VERSION")).unwrap();
        fs::create_dir(folder.path().join("__cluster_metadata-0")).unwrap();
        fs::write(folder.path().join(FILE), "version=1\ncluster.id=a\nnode.id=1\n").unwrap();
        let said = settle(&directories, 1, None).unwrap_err().to_string();
        assert!(said.contains("Apache Kafka") && said.contains("__cluster_metadata-0"), "{said}");
        fs::write(folder.path().join(OWN), "").unwrap();
        settle(&directories, 1, None).unwrap();
        let old = tempfile::tempdir().unwrap();
        fs::write(old.path().join(FILE), "version=0\nbroker.id=1\n").unwrap();
        assert!(settle(&[old.path().to_path_buf()], 1, None).unwrap_err().to_string().contains("ZooKeeper"));
    }

    #[test]
    fn base64_is_kafkas() {
        // The metadata topic's id in Kafka is 0...01, printed so.
        assert_eq!(base64(Uuid::from_u128(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(base64(Uuid::from_u128(u128::MAX)), "_____________________w");
        for id in [Uuid::from_u128(1), Uuid::from_u128(u128::MAX), Uuid::new_v4(), Uuid::nil()] {
            assert_eq!(from_base64(&base64(id)), Some(id));
        }
        for wrong in
            ["", "AAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAB", "AAAAAAAAAAAAAAAAAAAAAQA", "AAAA+AAAAAAAAAAAAAAAAQ"]
        {
            assert_eq!(from_base64(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_directory_of_an_earlier_version_gets_an_id_and_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let directories = [folder.path().to_path_buf()];
        fs::write(folder.path().join(FILE), "version=1\ncluster.id=a\nnode.id=1\n").unwrap();
        let first = settle(&directories, 1, None).unwrap();
        assert_eq!((first.cluster_id.as_str(), first.directory_ids.len()), ("a", 1));
        assert_eq!(settle(&directories, 1, None).unwrap(), first);
        fs::write(folder.path().join(FILE), "version=1\ncluster.id=a\nnode.id=1\ndirectory.id=?\n").unwrap();
        let said = settle(&directories, 1, None).unwrap_err().to_string();
        assert!(said.contains("directory.id is ?"), "{said}");
    }
}
