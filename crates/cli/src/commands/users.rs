//! `headwater users`.

use std::io::Read;

use headwater_app::{Project, SystemEntropy};
use headwater_project::Failure;
use headwater_server::auth::{AccountRole, Accounts};

use super::{Context, Stop};
use crate::args::{RoleName, UsersAction};
use crate::print::{Align, Table};

/// Bytes of stdin read for a password.
const MAX_PASSWORD: u64 = 4_096;

/// Works on the file alone: a running server notices.
pub(super) fn users(context: &Context, action: Option<UsersAction>) -> Result<(), Stop> {
    let path = Accounts::path(&Project::load(&context.open)?.data_folder());
    let mut accounts = Accounts::read(&path)?;
    match action.unwrap_or(UsersAction::List) {
        UsersAction::List => return list(context, &accounts),
        UsersAction::Add { name, role } => {
            accounts.set_user(&name, role.into(), &password()?, &SystemEntropy)?;
            accounts.write(&path)?;
            context.printer.words(&format!("`{name}` may log in as {}.", AccountRole::from(role).as_str()));
        }
        UsersAction::Token { name, role } => {
            let token = accounts.add_token(&name, role.into(), &SystemEntropy)?;
            accounts.write(&path)?;
            context.printer.words("Send it as `Authorization: Bearer TOKEN`. It is not shown again:");
            context.printer.line(&token)?;
        }
        UsersAction::Remove { name } => {
            if !accounts.remove(&name) {
                return Err(Failure::user(format!("there is no user or token `{name}`"))
                    .with_hint("`headwater users list` lists them.")
                    .into());
            }
            accounts.write(&path)?;
            context.printer.words(&format!("`{name}` is removed."));
        }
    }
    Ok(())
}

impl From<RoleName> for AccountRole {
    fn from(role: RoleName) -> Self {
        match role {
            RoleName::Viewer => Self::Viewer,
            RoleName::Editor => Self::Editor,
            RoleName::Admin => Self::Admin,
        }
    }
}

fn list(context: &Context, accounts: &Accounts) -> Result<(), Stop> {
    let users = accounts.users.iter().map(|user| (&user.name, "user", user.role));
    let tokens = accounts.tokens.iter().map(|token| (&token.name, "token", token.role));
    if context.printer.json {
        let listed: Vec<_> = users
            .chain(tokens)
            .map(|(name, kind, role)| serde_json::json!({"name": name, "kind": kind, "role": role}))
            .collect();
        return context.printer.json(&listed);
    }
    let mut table = Table::new(&[("name", Align::Left), ("kind", Align::Left), ("role", Align::Left)]);
    for (name, kind, role) in users.chain(tokens) {
        table.row(&[name.clone(), kind.to_owned(), role.as_str().to_owned()]);
    }
    context.printer.table(&table)
}

/// The first line of stdin: a password on the command line would be seen by everybody on the machine.
fn password() -> Result<String, Stop> {
    let mut text = String::new();
    std::io::stdin().lock().take(MAX_PASSWORD).read_to_string(&mut text)?;
    match text.lines().next() {
        Some(password) if !password.is_empty() => Ok(password.to_owned()),
        _ => Err(Failure::user("no password was given on stdin")
            .with_hint("For example: `headwater users add ada < password.txt`.")
            .into()),
    }
}
