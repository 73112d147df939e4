//! Who may call: accounts, sessions, tokens, and what a request's caller is.
//!
//! Without accounts the caller on the same machine, addressing the server by a loopback name, may do everything, and
//! nobody else anything. With accounts everybody logs in. In read-only mode nobody changes anything, and without accounts
//! everybody may look.

mod accounts;
mod attempts;
mod password;
mod session;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};
use headwater_app::Instance;
use headwater_project::config::Secret;
use headwater_project::{Entropy, Failure, Kind, Timestamp};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::api::ApiError;
use crate::routes::Policy;
use crate::wire::Role;

pub use accounts::{Account, AccountRole, Accounts, ApiToken};

use accounts::AccountsFile;
use attempts::Attempts;
use session::Sessions;

/// The header a page sends with unsafe methods: a form of another page cannot send it.
pub(crate) const CSRF_HEADER: &str = "x-headwater";
/// What a command on this machine is called.
const LOCAL_COMMAND: &str = "a command on this machine";
const COOKIE: &str = "headwater_session";
/// Passwords checked at once: each takes 19 MiB and tens of milliseconds.
const CHECKS: usize = 2;

/// Who calls, as far as the request shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) name: Option<String>,
    /// What the caller may do; none before a login.
    pub(crate) role: Option<Role>,
    /// By a cookie, which a browser sends without being asked.
    pub(crate) by_cookie: bool,
    /// On the same machine, through a loopback name.
    pub(crate) is_local: bool,
}

/// Where a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer(pub(crate) IpAddr);

pub(crate) struct Auth {
    file: AccountsFile,
    sessions: Sessions,
    attempts: Attempts,
    checks: Arc<Semaphore>,
    entropy: Arc<dyn Entropy>,
    /// Of commands on this machine, for the life of this process.
    local_token: Option<Secret>,
    pub(crate) read_only: bool,
}

impl Auth {
    pub(crate) fn new(path: PathBuf, entropy: Arc<dyn Entropy>, read_only: bool) -> Self {
        Self {
            file: AccountsFile::new(path),
            sessions: Sessions::default(),
            attempts: Attempts::default(),
            checks: Arc::new(Semaphore::new(CHECKS)),
            entropy,
            local_token: None,
            read_only,
        }
    }

    pub(crate) fn of_instance(instance: &Instance, read_only: bool) -> Self {
        let auth =
            Self::new(Accounts::path(&instance.data_folder()), Arc::new(headwater_app::SystemEntropy), read_only);
        Self { local_token: Some(Secret::new(instance.local_token())), ..auth }
    }

    /// Whether there is anybody who could log in.
    pub(crate) fn login_required(&self) -> Result<bool, Failure> {
        Ok(!self.file.read()?.is_empty())
    }

    /// The caller of a request that came from `peer`, addressed to a loopback name or not.
    pub(crate) fn caller(
        &self,
        headers: &HeaderMap,
        peer: IpAddr,
        by_loopback_name: bool,
        now: Timestamp,
    ) -> Result<Caller, Failure> {
        let accounts = self.file.read()?;
        let is_local = peer.is_loopback() && by_loopback_name;
        let known = |name: String, role: AccountRole, by_cookie| Caller {
            name: Some(name),
            role: Some(role.into()),
            by_cookie,
            is_local,
        };
        if let Some(token) = bearer(headers) {
            if self.local_token.as_ref().is_some_and(|local| is_same(local.reveal(), token)) {
                return Ok(known(LOCAL_COMMAND.to_owned(), AccountRole::Admin, false));
            }
            // A wrong token is nobody, not somebody else.
            let found = accounts.token(token).map(|token| known(token.name.clone(), token.role, false));
            return Ok(found.unwrap_or(Caller { name: None, role: None, by_cookie: false, is_local }));
        }
        if let Some(name) = cookie(headers).and_then(|cookie| self.sessions.user(cookie, now))
            && let Some(account) = accounts.account(&name)
        {
            return Ok(known(name, account.role, true));
        }
        Ok(Caller {
            name: None,
            role: anonymous_role(accounts.is_empty(), is_local, self.read_only),
            by_cookie: false,
            is_local,
        })
    }

    /// A new session's cookie for a right password. What went wrong is not told apart.
    pub(crate) async fn log_in(
        &self,
        name: &str,
        password: &str,
        peer: IpAddr,
        is_secure: bool,
        now: Timestamp,
    ) -> Result<(Caller, String), ApiError> {
        self.attempts.may_try(peer, name, now)?;
        let accounts = self.file.read()?;
        let account = accounts.account(name).cloned();
        let hash = account.as_ref().map(|account| account.password.clone());
        let (password, checks) = (password.to_owned(), Arc::clone(&self.checks));
        let _turn = checks.acquire_owned().await.map_err(|error| Failure::internal(error.to_string()))?;
        // Those who waited for their turn together do not all get one.
        self.attempts.may_try(peer, name, now)?;
        // A name that is not there costs the same time.
        let check = tokio::task::spawn_blocking(move || password::is_right(&password, hash.as_ref()));
        let is_right = check.await.map_err(|error| Failure::internal(error.to_string()))??;
        match account.filter(|_| is_right) {
            Some(account) => {
                self.attempts.succeeded(peer, name);
                let cookie = self.sessions.begin(&account.name, self.entropy.as_ref(), now);
                let caller = Caller {
                    name: Some(account.name),
                    role: Some(account.role.into()),
                    by_cookie: true,
                    is_local: peer.is_loopback(),
                };
                Ok((caller, set_cookie(&cookie, session::LIFE_SECONDS, is_secure)))
            }
            None => {
                self.attempts.failed(peer, name, now);
                Err(unauthenticated("the name or the password is wrong"))
            }
        }
    }

    /// Ends the session of a request; returns the cookie that forgets it.
    pub(crate) fn log_out(&self, headers: &HeaderMap) -> String {
        if let Some(cookie) = cookie(headers) {
            self.sessions.end(cookie);
        }
        set_cookie("", 0, false)
    }
}

fn anonymous_role(no_accounts: bool, is_local: bool, read_only: bool) -> Option<Role> {
    match (no_accounts, is_local, read_only) {
        (true, true, false) => Some(Role::Admin),
        (true, _, true) => Some(Role::Viewer),
        _ => None,
    }
}

/// Whether a caller may use a route.
pub(crate) fn authorize(policy: Policy, caller: &Caller, read_only: bool) -> Result<(), ApiError> {
    let needed = match policy {
        Policy::Open | Policy::Push => return Ok(()),
        Policy::Read | Policy::UntrustedSql => Role::Viewer,
        Policy::Act => Role::Editor,
    };
    let Some(role) = caller.role else { return Err(unauthenticated("a login is needed")) };
    let is_stranger = caller.name.is_none() && !caller.is_local;
    if policy == Policy::Act && read_only {
        return Err(forbidden("this server is read-only", "Ask the process that was started without `--read-only`."));
    }
    if policy == Policy::UntrustedSql && is_stranger {
        return Err(forbidden("statements are for those who are logged in", "Dashboards and tables can be looked at."));
    }
    if role < needed {
        return Err(forbidden("your role may not do this", "An editor may; `headwater users` changes roles."));
    }
    Ok(())
}

/// What an unsafe request of a page must carry.
pub(crate) fn require_csrf_header(caller: &Caller, headers: &HeaderMap) -> Result<(), ApiError> {
    if caller.by_cookie && !headers.contains_key(CSRF_HEADER) {
        return Err(forbidden("this request may come from a foreign page", "Send the header `X-Headwater: 1`."));
    }
    Ok(())
}

pub(crate) fn unauthenticated(message: &str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, Failure::new(Kind::User, message).with_hint("Log in, or send a token."))
}

fn forbidden(message: &str, hint: &str) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, Failure::new(Kind::User, message).with_hint(hint))
}

/// Compares digests, which take as long to compare whatever is sent.
fn is_same(known: &str, sent: &str) -> bool {
    Sha256::digest(known) == Sha256::digest(sent)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ").map(str::trim)
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|line| line.split(';')).find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

fn set_cookie(value: &str, seconds: u32, is_secure: bool) -> String {
    let secure = if is_secure { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}

/// Refuses to be reached from elsewhere when nobody could log in.
pub(crate) fn may_listen(address: IpAddr, has_accounts: bool, read_only: bool) -> bool {
    address.is_loopback() || has_accounts || read_only
}

#[cfg(test)]
mod tests;
