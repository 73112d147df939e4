//! Decimals as bytes, text and numbers.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::shape::DecimalMode;

/// A decimal as text writes it: its digits without the point, and how many of them stand behind it.
pub(super) struct Digits {
    negative: bool,
    digits: String,
    scale: i32,
}

impl Digits {
    pub(super) fn of(unscaled: i128, scale: i32) -> Self {
        Self { negative: unscaled < 0, digits: unscaled.unsigned_abs().to_string(), scale }
    }

    /// Nothing for what is no number: `NaN` and the infinities.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = rest.split_once('.').unwrap_or((rest, ""));
        let digits = format!("{whole}{fraction}");
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| Self { negative, digits, scale: i32::try_from(fraction.len()).unwrap_or(i32::MAX) })
    }

    /// The same number with so many digits behind the point. Nothing if digits other than zeros would be lost.
    pub(super) fn scaled(mut self, scale: i32) -> Option<Self> {
        while self.scale > scale {
            if self.digits.pop().is_some_and(|digit| digit != '0') {
                return None;
            }
            self.scale -= 1;
        }
        let missing = usize::try_from(scale - self.scale).ok()?;
        self.digits.extend(std::iter::repeat_n('0', missing));
        self.scale = scale;
        Some(self)
    }

    /// With its point, and without zeros in front.
    fn plain(&self) -> String {
        let mut digits = self.digits.trim_start_matches('0').to_owned();
        let behind = usize::try_from(self.scale).unwrap_or(0);
        if digits.len() <= behind {
            digits.insert_str(0, &"0".repeat(behind + 1 - digits.len()));
        }
        if self.scale < 0 && digits.bytes().any(|byte| byte != b'0') {
            digits.extend(std::iter::repeat_n('0', usize::try_from(-self.scale).unwrap_or(0)));
        }
        if behind > 0 {
            digits.insert(digits.len() - behind, '.');
        }
        let is_zero = digits.bytes().all(|byte| matches!(byte, b'0' | b'.'));
        if self.negative && !is_zero { format!("-{digits}") } else { digits }
    }

    /// Two's complement, the highest byte first, as few bytes as hold it.
    fn bytes(&self) -> Vec<u8> {
        let mut limbs: Vec<u32> = Vec::new();
        for chunk in self.digits.as_bytes().chunks(9) {
            let mut carry = chunk.iter().fold(0_u64, |value, byte| value * 10 + u64::from(byte - b'0'));
            let factor = chunk.iter().fold(1_u64, |factor, _| factor * 10);
            for limb in &mut limbs {
                let value = u64::from(*limb) * factor + carry;
                // The lower half, then the upper.
                *limb = (value & u64::from(u32::MAX)) as u32;
                carry = value >> 32;
            }
            if carry > 0 {
                limbs.push((carry & u64::from(u32::MAX)) as u32);
            }
        }
        let mut bytes = vec![0];
        bytes.extend(limbs.iter().rev().flat_map(|limb| limb.to_be_bytes()));
        if self.negative {
            negate(&mut bytes);
        }
        let spare = bytes.windows(2).take_while(|pair| matches!(pair, [0, 0..=0x7f] | [0xff, 0x80..=0xff])).count();
        bytes.split_off(spare)
    }

    /// Appends it as JSON.
    pub(super) fn write(&self, mode: DecimalMode, out: &mut Vec<u8>) -> Option<()> {
        match mode {
            DecimalMode::Precise => quoted(&STANDARD.encode(self.bytes()), out),
            DecimalMode::String => quoted(&self.plain(), out),
            DecimalMode::Double => float(self.plain().parse().ok()?, out),
        }
    }

    /// Appends it with its own scale, where the type has none.
    pub(super) fn write_variable(&self, mode: DecimalMode, out: &mut Vec<u8>) -> Option<()> {
        if mode != DecimalMode::Precise {
            return self.write(mode, out);
        }
        write!(out, "{{\"scale\":{},\"value\":", self.scale).ok()?;
        self.write(mode, out)?;
        out.push(b'}');
        Some(())
    }
}

fn negate(bytes: &mut [u8]) {
    let mut carry = true;
    for byte in bytes.iter_mut().rev() {
        (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
    }
}

/// Text as JSON.
pub(super) fn quoted(text: &str, out: &mut Vec<u8>) -> Option<()> {
    serde_json::to_writer(out, text).ok()
}

/// A number as JSON; what is none as the text that stands for it.
pub(super) fn float(value: f64, out: &mut Vec<u8>) -> Option<()> {
    match not_finite(value) {
        Some(text) => quoted(text, out),
        None => serde_json::to_writer(out, &value).ok(),
    }
}

/// The same of fewer digits.
pub(super) fn short_float(value: f32, out: &mut Vec<u8>) -> Option<()> {
    match not_finite(value.into()) {
        Some(text) => quoted(text, out),
        None => serde_json::to_writer(out, &value).ok(),
    }
}

fn not_finite(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        return Some("NaN");
    }
    value.is_infinite().then_some(if value > 0.0 { "Infinity" } else { "-Infinity" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, bytes: &[u8], plain: &str) {
        let digits = Digits::parse(text).unwrap();
        assert_eq!(digits.bytes(), bytes, "{text}");
        assert_eq!(digits.plain(), plain, "{text}");
    }

    #[test]
    fn numbers_become_the_bytes_a_consumer_reads() {
        check("0", &[0], "0");
        check("0.00", &[0], "0.00");
        check("-0", &[0], "0");
        check("127", &[0x7f], "127");
        check("1.28", &[0, 0x80], "1.28");
        check("-1.28", &[0x80], "-1.28");
        check("-129", &[0xff, 0x7f], "-129");
        check("123.45", &[0x30, 0x39], "123.45");
        check("-0.01", &[0xff], "-0.01");
        check("007", &[7], "7");
        check(
            &format!("1{}", "0".repeat(39)),
            &{
                // 10^39, which no machine word holds.
                let high = 10_u128.pow(38);
                let (top, rest) = ((high >> 120) * 10, (high & ((1 << 120) - 1)) * 10);
                let top = (top + (rest >> 120)).to_be_bytes();
                let mut bytes = top[14..].to_vec();
                bytes.extend(&(rest & ((1 << 120) - 1)).to_be_bytes()[1..]);
                bytes.into_iter().skip_while(|byte| *byte == 0).collect::<Vec<u8>>()
            },
            &format!("1{}", "0".repeat(39)),
        );
    }

    #[test]
    fn a_scale_is_kept_or_refused() {
        let scaled = |text: &str, scale| Digits::parse(text).unwrap().scaled(scale).map(|digits| digits.plain());
        assert_eq!(scaled("1.5", 3).as_deref(), Some("1.500"));
        assert_eq!(scaled("1200", -2).as_deref(), Some("1200"));
        assert_eq!(scaled("0", -2).as_deref(), Some("0"));
        assert_eq!(scaled("1.25", 1), None);
        assert_eq!(Digits::of(-5, 2).plain(), "-0.05");
        for text in ["NaN", "Infinity", "", "-", ".", "1e5"] {
            assert!(Digits::parse(text).is_none(), "{text}");
        }
    }
}
