//! The memory file: the seed, and the offers that are no longer as the seed says.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::model::Offer;
use super::seed::{self, Seed, SeedError};
use crate::disk::{self, Disk};

/// The format this program writes. Schema 1 had no seed; it is read as one without.
const SCHEMA: u32 = 2;

/// The seed, and every offer that is not as the seed says. Behaviours and faults are only in the
/// seed, so that it can be changed between two runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    schema: u32,
    /// The seed without its tokens; `None` where there was none.
    #[serde(default)]
    pub(super) seed: Option<Value>,
    pub(super) offers: Vec<Offer>,
}

impl Memory {
    pub(super) fn new(seed: Option<Value>, offers: Vec<Offer>) -> Self {
        Self { schema: SCHEMA, seed, offers }
    }
}

/// A seed, and its document for the memory file.
#[derive(Clone, Debug, Default)]
pub struct StoredSeed {
    pub(super) seed: Seed,
    /// The YAML document without its tokens: the memory file must hold no secret.
    pub(super) document: Option<Value>,
}

impl StoredSeed {
    /// Reads a seed.
    pub fn parse(yaml: &str) -> Result<Self, SeedError> {
        let seed = seed::parse(yaml)?;
        let document: Option<Map<String, Value>> = serde_yaml::from_str(yaml)?;
        let mut document = document.unwrap_or_default();
        document.remove("token");
        document.remove("accounts");
        Ok(Self { seed, document: Some(Value::Object(document)) })
    }

    /// The seed that this run got, else the one of the run before.
    pub(super) fn choose(
        given: Option<Self>,
        memory: Option<&Memory>,
        path: &Path,
    ) -> Result<Self, MemoryError> {
        let document = memory.and_then(|memory| memory.seed.as_ref());
        match (given, document) {
            (Some(given), _) => Ok(given),
            (None, None) => Ok(Self::default()),
            (None, Some(document)) => Seed::deserialize(document)
                .map(|seed| Self { seed, document: Some(document.clone()) })
                .map_err(|source| MemoryError::Broken { path: path.to_owned(), source }),
        }
    }
}

/// Why a memory file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// It is there and cannot be read.
    #[error("cannot read the emulator's memory {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It is not what the emulator writes. Deleting it begins anew.
    #[error("the emulator's memory {path} is broken; remove the file to begin anew")]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        #[source]
        source: serde_json::Error,
    },
    /// A later program wrote it.
    #[error(
        "the emulator's memory {path} has schema {schema}, this golive knows {SCHEMA}; use a newer golive, or remove the file to begin anew"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        schema: u32,
    },
}

/// Reads a memory file; `None` where there is none yet.
pub(super) fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Memory>, MemoryError> {
    #[derive(Deserialize)]
    struct Head {
        schema: u32,
    }
    let path = path.to_owned();
    let bytes = match disk.read(&path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(None),
        Err(source) => return Err(MemoryError::Read { path, source }),
    };
    // The schema comes first: a later one may have fields that this program does not know.
    match serde_json::from_slice::<Head>(&bytes) {
        Ok(Head { schema }) if schema > SCHEMA => return Err(MemoryError::Newer { path, schema }),
        Ok(Head { .. }) => {}
        Err(source) => return Err(MemoryError::Broken { path, source }),
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|source| MemoryError::Broken { path, source })
}

/// Where the memory is kept.
#[derive(Debug)]
pub(super) struct MemoryFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// The generation of the world that is on disk. Whoever holds it writes; those who waited
    /// meanwhile find their change document with it, so that many requests are few writes.
    saved: Arc<tokio::sync::Mutex<u64>>,
}

impl MemoryFile {
    pub(super) fn new(disk: Arc<dyn Disk>, path: PathBuf) -> Self {
        Self { disk, path, saved: Arc::default() }
    }

    /// Writes the memory unless the generation is on disk already. `snapshot` is called only if it
    /// is needed, and returns its own generation, too.
    pub(super) async fn save(
        &self,
        generation: u64,
        snapshot: impl FnOnce() -> (u64, Memory),
    ) -> std::io::Result<()> {
        let mut saved = Arc::clone(&self.saved).lock_owned().await;
        if *saved >= generation {
            return Ok(());
        }
        let (generation, memory) = snapshot();
        let (disk, path) = (Arc::clone(&self.disk), self.path.clone());
        // The lock goes with the write: a client that goes away ends this future, not the write.
        let write = move || {
            let mut bytes = serde_json::to_vec_pretty(&memory)?;
            bytes.push(b'\n');
            disk::replace(disk.as_ref(), &path, &bytes)?;
            *saved = generation;
            Ok(())
        };
        tokio::task::spawn_blocking(write).await.map_err(std::io::Error::other)?
    }
}
