//! Hashes the engine does not have.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, StringBuilder};
use datafusion::common::Result;

use super::arguments::Arguments;
use super::{Function, returns};

pub(super) const FUNCTIONS: &[Function] = &[
    // FarmHash's 64-bit fingerprint, as a signed number.
    Function { name: "farm_fingerprint", arity: (1, 1), returns: returns::integer, body: farm },
    // In hexadecimal digits.
    Function { name: "sha1_hex", arity: (1, 1), returns: returns::text, body: sha1_hex },
];

const K0: u64 = 0xc3a5_c85c_97cb_3127;
const K1: u64 = 0xb492_b66f_be98_f273;
const K2: u64 = 0x9ae1_6a3b_2f90_404f;

fn fetch64(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    if let Some(piece) = bytes.get(at..at + 8) {
        word.copy_from_slice(piece);
    }
    u64::from_le_bytes(word)
}

fn fetch32(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 4];
    if let Some(piece) = bytes.get(at..at + 4) {
        word.copy_from_slice(piece);
    }
    u64::from(u32::from_le_bytes(word))
}

fn byte(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at).copied().map_or(0, u64::from)
}

fn shift_mix(value: u64) -> u64 {
    value ^ (value >> 47)
}

fn mix16(u: u64, v: u64, factor: u64) -> u64 {
    let a = shift_mix((u ^ v).wrapping_mul(factor));
    let b = shift_mix((v ^ a).wrapping_mul(factor));
    b.wrapping_mul(factor)
}

fn weak32(bytes: &[u8], at: usize, seeds: (u64, u64)) -> (u64, u64) {
    let [w, x, y, z] = [0, 8, 16, 24].map(|offset| fetch64(bytes, at + offset));
    let a = seeds.0.wrapping_add(w);
    let b = seeds.1.wrapping_add(a).wrapping_add(z).rotate_right(21);
    let sum = a.wrapping_add(x).wrapping_add(y);
    (sum.wrapping_add(z), b.wrapping_add(sum.rotate_right(44)).wrapping_add(a))
}

fn farm_short(bytes: &[u8]) -> u64 {
    let length = bytes.len();
    let factor = K2.wrapping_add(length as u64 * 2);
    match length {
        0 => K2,
        1..=3 => {
            let y = byte(bytes, 0).wrapping_add(byte(bytes, length / 2) << 8);
            let z = (length as u64).wrapping_add(byte(bytes, length - 1) << 2);
            shift_mix(y.wrapping_mul(K2) ^ z.wrapping_mul(K0)).wrapping_mul(K2)
        }
        4..=7 => mix16((length as u64).wrapping_add(fetch32(bytes, 0) << 3), fetch32(bytes, length - 4), factor),
        8..=16 => {
            let (a, b) = (fetch64(bytes, 0).wrapping_add(K2), fetch64(bytes, length - 8));
            let c = b.rotate_right(37).wrapping_mul(factor).wrapping_add(a);
            let d = a.rotate_right(25).wrapping_add(b).wrapping_mul(factor);
            mix16(c, d, factor)
        }
        17..=32 => {
            let (a, b) = (fetch64(bytes, 0).wrapping_mul(K1), fetch64(bytes, 8));
            let c = fetch64(bytes, length - 8).wrapping_mul(factor);
            let d = fetch64(bytes, length - 16).wrapping_mul(K2);
            let u = a.wrapping_add(b).rotate_right(43).wrapping_add(c.rotate_right(30)).wrapping_add(d);
            mix16(u, a.wrapping_add(b.wrapping_add(K2).rotate_right(18)).wrapping_add(c), factor)
        }
        _ => {
            let (a, b) = (fetch64(bytes, 0).wrapping_mul(K2), fetch64(bytes, 8));
            let c = fetch64(bytes, length - 8).wrapping_mul(factor);
            let d = fetch64(bytes, length - 16).wrapping_mul(K2);
            let y = a.wrapping_add(b).rotate_right(43).wrapping_add(c.rotate_right(30)).wrapping_add(d);
            let z = mix16(y, a.wrapping_add(b.wrapping_add(K2).rotate_right(18)).wrapping_add(c), factor);
            let (e, f) = (fetch64(bytes, 16).wrapping_mul(factor), fetch64(bytes, 24));
            let g = y.wrapping_add(fetch64(bytes, length - 32)).wrapping_mul(factor);
            let h = z.wrapping_add(fetch64(bytes, length - 24)).wrapping_mul(factor);
            let u = e.wrapping_add(f).rotate_right(43).wrapping_add(g.rotate_right(30)).wrapping_add(h);
            mix16(u, e.wrapping_add(f.wrapping_add(a).rotate_right(18)).wrapping_add(g), factor)
        }
    }
}

fn farm_fingerprint(bytes: &[u8]) -> u64 {
    let length = bytes.len();
    if length <= 64 {
        return farm_short(bytes);
    }
    const SEED: u64 = 81;
    let mut y = SEED.wrapping_mul(K1).wrapping_add(113);
    let mut z = shift_mix(y.wrapping_mul(K2).wrapping_add(113)).wrapping_mul(K2);
    let (mut v, mut w) = ((0_u64, 0_u64), (0_u64, 0_u64));
    let mut x = SEED.wrapping_mul(K2).wrapping_add(fetch64(bytes, 0));
    let rest = (length - 1) % 64;
    let end = length - 1 - rest;
    let mut at = 0;
    let round = |at: usize,
                 x: &mut u64,
                 y: &mut u64,
                 z: &mut u64,
                 v: &mut (u64, u64),
                 w: &mut (u64, u64),
                 factor: u64,
                 last: bool| {
        *x = x
            .wrapping_add(*y)
            .wrapping_add(v.0)
            .wrapping_add(fetch64(bytes, at + 8))
            .rotate_right(37)
            .wrapping_mul(factor);
        *y = y.wrapping_add(v.1).wrapping_add(fetch64(bytes, at + 48)).rotate_right(42).wrapping_mul(factor);
        let nine = if last { 9_u64 } else { 1 };
        *x ^= w.1.wrapping_mul(nine);
        *y = y.wrapping_add(v.0.wrapping_mul(nine)).wrapping_add(fetch64(bytes, at + 40));
        *z = z.wrapping_add(w.0).rotate_right(33).wrapping_mul(factor);
        *v = weak32(bytes, at, (v.1.wrapping_mul(factor), x.wrapping_add(w.0)));
        *w = weak32(bytes, at + 32, (z.wrapping_add(w.1), y.wrapping_add(fetch64(bytes, at + 16))));
        std::mem::swap(z, x);
    };
    while at != end {
        round(at, &mut x, &mut y, &mut z, &mut v, &mut w, K1, false);
        at += 64;
    }
    let factor = K1.wrapping_add((z & 0xff) << 1);
    w.0 = w.0.wrapping_add(rest as u64);
    v.0 = v.0.wrapping_add(w.0);
    w.0 = w.0.wrapping_add(v.0);
    round(length - 64, &mut x, &mut y, &mut z, &mut v, &mut w, factor, true);
    let u = mix16(v.0, w.0, factor).wrapping_add(shift_mix(y).wrapping_mul(K0)).wrapping_add(z);
    mix16(u, mix16(v.1, w.1, factor).wrapping_add(x), factor)
}

fn farm(arguments: &Arguments) -> Result<ArrayRef> {
    let bytes = arguments.bytes(0)?;
    let hash = |bytes: Option<&[u8]>| bytes.map(|bytes| farm_fingerprint(bytes).cast_signed());
    Ok(Arc::new(bytes.iter().map(hash).collect::<Int64Array>()))
}

fn sha1(bytes: &[u8]) -> [u32; 5] {
    let mut state: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut message = bytes.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend((bytes.len() as u64 * 8).to_be_bytes());
    for block in message.chunks_exact(64) {
        let mut words = [0_u32; 80];
        for (word, piece) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = piece.iter().fold(0, |word, byte| (word << 8) | u32::from(*byte));
        }
        for at in 16..80 {
            let earlier = [3, 8, 14, 16].map(|back| words.get(at - back).copied().unwrap_or(0));
            if let Some(word) = words.get_mut(at) {
                *word = earlier.iter().fold(0, |mixed, word| mixed ^ word).rotate_left(1);
            }
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (at, word) in words.iter().enumerate() {
            let (mixed, constant) = match at / 20 {
                0 => ((b & c) | (!b & d), 0x5a82_7999),
                1 => (b ^ c ^ d, 0x6ed9_eba1),
                2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = a.rotate_left(5).wrapping_add(mixed).wrapping_add(e).wrapping_add(constant).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (sum, part) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(part);
        }
    }
    state
}

fn sha1_hex(arguments: &Arguments) -> Result<ArrayRef> {
    let bytes = arguments.bytes(0)?;
    let mut texts = StringBuilder::new();
    for row in 0..arguments.rows {
        let digest = bytes.is_valid(row).then(|| sha1(bytes.value(row)));
        texts.append_option(digest.map(|digest| digest.map(|word| format!("{word:08x}")).concat()));
    }
    Ok(Arc::new(texts.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_those_of_farmhash() {
        for (text, expected) in [
            ("1footrue", -1_541_654_101_129_638_711),
            ("2applefalse", 2_794_438_866_806_483_259),
            ("3true", -4_880_158_226_897_771_312),
        ] {
            assert_eq!(farm_fingerprint(text.as_bytes()).cast_signed(), expected, "{text}");
        }
    }

    #[test]
    fn sha1_is_that_of_its_standard() {
        let hex = |text: &str| sha1(text.as_bytes()).map(|word| format!("{word:08x}")).concat();
        assert_eq!(hex("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(hex(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    }
}
