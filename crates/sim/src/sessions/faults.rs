//! Records nobody can read, made from good ones.

use crate::random::Stream;

/// A copy of a record that no reader can take for a good one.
pub fn mangle(record: &[u8], troubles: &mut Stream, out: &mut Vec<u8>) {
    out.clear();
    let ts = record.windows(5).position(|window| window == b"\"ts\":").map_or(1, |at| at + 5);
    match troubles.below(6) {
        0 => {
            let length = 1 + troubles.below(record.len().saturating_sub(1) as u64) as usize;
            out.extend_from_slice(record.get(..length).unwrap_or_default());
        }
        1 => out.extend_from_slice(b"<html><body>502 Bad Gateway</body></html>"),
        2 => spliced(record, ts, b"\"noon\",\"was\":", out),
        3 => spliced(record, ts, b"{\"at\":0},\"was\":", out),
        4 => spliced(record, ts, b"\"\xff\xfe\",\"was\":", out),
        _ => spliced(record, ts, b",", out),
    }
}

fn spliced(record: &[u8], at: usize, insert: &[u8], out: &mut Vec<u8>) {
    let (before, after) = record.split_at(at.min(record.len()));
    out.extend_from_slice(before);
    out.extend_from_slice(insert);
    out.extend_from_slice(after);
}
