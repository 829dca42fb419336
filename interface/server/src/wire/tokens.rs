//! What agents show to register again under their ids: one file in the data folder, readable by its owner only.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use hive_domain::ids::AgentId;
use hive_domain::registry::{Claim, RegistrationToken};

/// The file, as it is called in a data folder.
pub(super) const FILE: &str = "agents.json";

/// The tokens of the agents of a data folder.
pub(super) struct Tokens {
    path: PathBuf,
    known: Mutex<BTreeMap<String, String>>,
}

impl Tokens {
    /// Reads what an earlier process wrote. A file that makes no sense is an error: it is not ours.
    pub(super) fn read(path: PathBuf) -> io::Result<Self> {
        let known = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok(Tokens { path, known: Mutex::new(known) })
    }

    /// What an agent shows: `fresh` the first time, the same from then on. It is kept for good when this returns, before
    /// anybody is shown it: an answer that is lost, or a kill, then costs nothing but a repetition.
    pub(super) fn claim(&self, agent_id: &AgentId, fresh: impl FnOnce() -> String) -> io::Result<Claim> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = known.get(agent_id.as_str()) {
            return Ok(Claim::Token(RegistrationToken::new(text)));
        }
        let token = fresh();
        known.insert(agent_id.to_string(), token.clone());
        let written = self.path.with_extension("new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&written)?;
        file.write_all(&serde_json::to_vec(&*known)?)?;
        file.sync_all()?;
        std::fs::rename(&written, &self.path)?;
        Ok(Claim::Token(RegistrationToken::new(token)))
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let agent_id = AgentId::parse("host/agent-1").unwrap();
        let tokens = Tokens::read(path.clone()).unwrap();
        let first = Claim::Token(RegistrationToken::new("first"));
        assert_eq!(tokens.claim(&agent_id, || "first".to_owned()).unwrap(), first);
        assert_eq!(tokens.claim(&agent_id, || "second".to_owned()).unwrap(), first);
        let again = Tokens::read(path.clone()).unwrap();
        assert_eq!(again.claim(&agent_id, || "third".to_owned()).unwrap(), first);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::write(&path, "no json").unwrap();
        assert!(Tokens::read(path).is_err());
    }
}
