//! What is asked of the server for a chunk: SQL, and the transactions that were under way.

use std::collections::HashSet;

use crate::postgres::catalog::CatalogTable;
use crate::postgres::error::{PgError, Result};
use crate::postgres::wire::{Connection, quoted_name, quoted_text};

pub(super) fn relation(table: &CatalogTable) -> String {
    let only = if table.kind == 'p' { "" } else { "ONLY " };
    format!("{only}{}", table.quoted())
}

/// The key as its types' output functions write it, which is how the stream has it.
pub(super) fn texts(key: &[String]) -> String {
    let each = key.iter().map(|name| format!("concat({})", quoted_name(name)));
    each.collect::<Vec<_>>().join(", ")
}

/// Rows after one key and up to another. The literals take the types of the key's columns.
pub(super) fn range(key: &[String], after: Option<&[String]>, until: Option<&[String]>) -> String {
    let names: Vec<String> = key.iter().map(|name| quoted_name(name)).collect();
    let values = |values: &[String]| {
        let each: Vec<String> = values.iter().map(|value| quoted_text(value)).collect();
        each.join(", ")
    };
    let names = names.join(", ");
    let conditions: Vec<String> = after
        .map(|after| format!("({names}) > ({})", values(after)))
        .into_iter()
        .chain(until.map(|until| format!("({names}) <= ({})", values(until))))
        .collect();
    if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) }
}

/// What a snapshot does not see: transactions that were under way, without their epochs, as the stream has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Unseen {
    /// The first number the snapshot knows nothing of: it is not listed even if it was under way.
    from: u32,
    pub(super) listed: HashSet<u32>,
}

impl Unseen {
    pub(super) fn read(session: &mut Connection) -> Result<Self> {
        let found = session.query("SELECT pg_current_snapshot()")?;
        Self::parse(found.first(0).unwrap_or_default()).ok_or(PgError::Protocol("a snapshot in an unknown form"))
    }

    /// Reads `xmin:xmax:list`.
    fn parse(snapshot: &str) -> Option<Self> {
        let number = |text: &str| u32::try_from(text.parse::<u64>().ok()? & u64::from(u32::MAX)).ok();
        let mut parts = snapshot.splitn(3, ':').skip(1);
        let from = number(parts.next()?)?;
        let listed = parts.next()?.split(',').filter(|text| !text.is_empty()).map(number).collect::<Option<_>>()?;
        Some(Self { from, listed })
    }

    /// Numbers go round: the later half of all lies ahead.
    pub(super) fn contains(&self, transaction: u32) -> bool {
        transaction.wrapping_sub(self.from) < 1 << 31 || self.listed.contains(&transaction)
    }
}

/// Who holds transactions, in words.
pub(super) fn holders(session: &mut Connection, transactions: &HashSet<u32>) -> Result<String> {
    let list: Vec<String> = transactions.iter().map(|number| quoted_text(&number.to_string())).collect();
    let list = list.join(", ");
    let found = session.query(&format!(
        "SELECT 'pid ' || pid || ' (' || coalesce(usename, '') || ', ' || coalesce(state, '') || ')' FROM pg_stat_activity \
         WHERE backend_xid::text IN ({list}) \
         UNION ALL SELECT 'prepared transaction ' || gid FROM pg_prepared_xacts WHERE transaction::text IN ({list})"
    ))?;
    let names: Vec<String> = found.rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
    Ok(names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_does_not_see_what_it_lists_or_does_not_know() {
        let snapshot = Unseen::parse("10:20:10,14").unwrap();
        for (transaction, unseen) in
            [(9, false), (10, true), (11, false), (14, true), (19, false), (20, true), (25, true)]
        {
            assert_eq!(snapshot.contains(transaction), unseen, "{transaction}");
        }
        let around = Unseen::parse("4294967290:4294967298:").unwrap();
        for (transaction, unseen) in [(u32::MAX, false), (1, false), (2, true), (3, true)] {
            assert_eq!(around.contains(transaction), unseen, "{transaction}");
        }
        for wrong in ["10:20", "10:20:x", ""] {
            assert_eq!(Unseen::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_chunk_lies_after_one_key_and_up_to_another() {
        let key = [String::from("a"), String::from("b c")];
        let (low, high) = ([String::from("1"), String::from("x'y")], [String::from("2"), String::new()]);
        assert_eq!(range(&key, None, None), "");
        assert_eq!(range(&key, Some(&low), None), r#" WHERE ("a", "b c") > ('1', 'x''y')"#);
        assert_eq!(
            range(&key, Some(&low), Some(&high)),
            r#" WHERE ("a", "b c") > ('1', 'x''y') AND ("a", "b c") <= ('2', '')"#
        );
    }
}
