//! The file of accounts, `.headwater/accounts.json`, readable by its owner only.
//!
//! ```json
//! {"version": 1,
//!  "users": [{"name": "ada", "role": "editor", "password": {"salt": "<hex>", "hash": "<hex>", "memory_kib": 19456, "passes": 2}}],
//!  "tokens": [{"name": "ci", "role": "viewer", "digest": "<SHA-256 of the token, hex>"}]}
//! ```
//! A change is a new file put in place of the old one; a running server sees it at the next request. Names are unique in
//! their list. A password is Argon2id; a token is 256 bits of chance and needs no slow hash.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use headwater_project::{Entropy, Failure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::password::{self, PasswordHash};
use crate::wire::Role;

const VERSION: u32 = 1;
const MIN_PASSWORD: usize = 10;
const MAX_PASSWORD: usize = 1_024;
/// What every token begins with, so that one in a text is recognised.
const TOKEN_PREFIX: &str = "hw_";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountRole {
    Viewer,
    Editor,
    Admin,
}

impl AccountRole {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Admin => "admin",
        }
    }
}

impl From<AccountRole> for Role {
    fn from(role: AccountRole) -> Self {
        match role {
            AccountRole::Viewer => Self::Viewer,
            AccountRole::Editor => Self::Editor,
            AccountRole::Admin => Self::Admin,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    pub name: String,
    pub role: AccountRole,
    pub(super) password: PasswordHash,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiToken {
    pub name: String,
    pub role: AccountRole,
    digest: String,
}

/// Everybody who may log in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Accounts {
    version: u32,
    pub users: Vec<Account>,
    pub tokens: Vec<ApiToken>,
}

impl Default for Accounts {
    fn default() -> Self {
        Self { version: VERSION, users: Vec::new(), tokens: Vec::new() }
    }
}

impl Accounts {
    /// The file in a project's data folder.
    pub fn path(data_folder: &Path) -> PathBuf {
        data_folder.join("accounts.json")
    }

    /// Nobody when there is no file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let failed = |detail: String| {
            Failure::user(format!("the accounts in {} cannot be read", path.display())).with_detail(detail)
        };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(failed(error.to_string())),
        };
        let accounts: Self = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
        if accounts.version == VERSION {
            return Ok(accounts);
        }
        Err(failed(format!("The file has version {}, this program knows {VERSION}.", accounts.version)))
    }

    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let failed = |error: std::io::Error| {
            Failure::user(format!("the accounts in {} cannot be written", path.display()))
                .with_detail(error.to_string())
        };
        let text = serde_json::to_vec_pretty(self).map_err(|error| Failure::internal(error.to_string()))?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let new = path.with_extension("json.new");
        let options = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).clone();
        let mut file = options.open(&new).map_err(failed)?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
        std::fs::rename(&new, path).map_err(failed)
    }

    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.tokens.is_empty()
    }

    pub(super) fn account(&self, name: &str) -> Option<&Account> {
        self.users.iter().find(|account| account.name == name)
    }

    pub(super) fn token(&self, token: &str) -> Option<&ApiToken> {
        let digest = digest(token);
        self.tokens.iter().find(|known| known.digest == digest)
    }

    /// Adds a user, or gives a known one another role and password.
    pub fn set_user(
        &mut self,
        name: &str,
        role: AccountRole,
        password: &str,
        entropy: &dyn Entropy,
    ) -> Result<(), Failure> {
        check_name(name)?;
        if !(MIN_PASSWORD..=MAX_PASSWORD).contains(&password.len()) {
            return Err(Failure::user(format!("a password has {MIN_PASSWORD} to {MAX_PASSWORD} bytes"))
                .with_hint("Three or four words that have nothing to do with each other are easy to keep in mind."));
        }
        let password = password::hash(password, entropy)?;
        self.users.retain(|known| known.name != name);
        self.users.push(Account { name: name.to_owned(), role, password });
        Ok(())
    }

    /// Makes a token and returns it: it is stored nowhere.
    pub fn add_token(&mut self, name: &str, role: AccountRole, entropy: &dyn Entropy) -> Result<String, Failure> {
        check_name(name)?;
        if self.tokens.iter().any(|known| known.name == name) {
            return Err(Failure::user(format!("there is a token `{name}` already")).with_hint("Remove it first."));
        }
        let token = format!("{TOKEN_PREFIX}{}", random_hex(entropy));
        self.tokens.push(ApiToken { name: name.to_owned(), role, digest: digest(&token) });
        Ok(token)
    }

    /// Removes users and tokens of that name; whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.users.len() + self.tokens.len();
        self.users.retain(|known| known.name != name);
        self.tokens.retain(|known| known.name != name);
        self.users.len() + self.tokens.len() < before
    }
}

fn check_name(name: &str) -> Result<(), Failure> {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_' | '@');
    if !name.is_empty() && name.len() <= 64 && name.chars().all(is_plain) {
        return Ok(());
    }
    Err(Failure::user(format!("`{name}` cannot name a user or a token"))
        .with_hint("Use up to 64 letters, digits, `.`, `-`, `_` and `@`."))
}

fn digest(text: &str) -> String {
    hexadecimal(&Sha256::digest(text.as_bytes()))
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// More than 200 bits of chance: each draw has 60 or more.
pub(super) fn random_hex(entropy: &dyn Entropy) -> String {
    let mut hash = Sha256::new();
    for _ in 0..8 {
        hash.update(entropy.next_u64().to_le_bytes());
    }
    hexadecimal(&hash.finalize())
}

/// When a file was changed, and its size; none when there is no file.
type Stamp = Option<(SystemTime, u64)>;

/// The file as read last, read again when it changed.
pub(super) struct AccountsFile {
    path: PathBuf,
    read: Mutex<Option<(Stamp, Arc<Accounts>)>>,
}

impl AccountsFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, read: Mutex::new(None) }
    }

    pub(super) fn read(&self) -> Result<Arc<Accounts>, Failure> {
        let stamp = std::fs::metadata(&self.path).ok().and_then(|found| Some((found.modified().ok()?, found.len())));
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, accounts)) = read.as_ref()
            && *known == stamp
        {
            return Ok(Arc::clone(accounts));
        }
        let accounts = Arc::new(Accounts::read(&self.path)?);
        *read = Some((stamp, Arc::clone(&accounts)));
        Ok(accounts)
    }
}
