//! Packed bodies, up to a limit.

use std::io::{self, Read};

use super::body::BodyError;

/// A body a hundred times as large unpacked as packed is not what anybody sends.
const MAX_RATIO: usize = 100;
const LEAST_CAP: usize = 1 << 20;
/// Memory a packer may ask for to unpack: eight MiB, as the content coding has it.
const WINDOW_LOG: u32 = 23;

/// A body as its sender had it before it was packed.
pub(super) fn unpacked(encoding: &str, body: &[u8], limit: usize) -> Result<Vec<u8>, BodyError> {
    match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" if body.len() > limit => Err(BodyError::TooLarge { limit }),
        "" | "identity" => Ok(body.to_vec()),
        "gzip" | "x-gzip" => read(flate2::read::MultiGzDecoder::new(body), "gzip", body.len(), limit),
        "zstd" => {
            let no_zstd = |error: io::Error| BodyError::Malformed(format!("it is not zstd: {error}"));
            let mut reader = zstd::stream::read::Decoder::with_buffer(body).map_err(no_zstd)?;
            reader.window_log_max(WINDOW_LOG).map_err(no_zstd)?;
            read(reader, "zstd", body.len(), limit)
        }
        other => Err(BodyError::UnsupportedEncoding(other.to_owned())),
    }
}

fn read(reader: impl Read, name: &str, packed: usize, limit: usize) -> Result<Vec<u8>, BodyError> {
    let cap = limit.min(packed.saturating_mul(MAX_RATIO).max(LEAST_CAP));
    let mut unpacked = Vec::new();
    let read = reader.take(cap as u64 + 1).read_to_end(&mut unpacked);
    read.map_err(|error| BodyError::Malformed(format!("it is not {name}: {error}")))?;
    if unpacked.len() > cap { Err(BodyError::TooLarge { limit: cap }) } else { Ok(unpacked) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    fn check(encoding: &str, pack: impl Fn(&[u8]) -> Vec<u8>) {
        assert_eq!(unpacked(encoding, &pack(b"{}"), 100).unwrap(), b"{}");
        assert!(matches!(unpacked(encoding, b"plain", 100), Err(BodyError::Malformed(_))), "{encoding}");
        let (long, bomb) = (pack(&[b' '; 101]), pack(&vec![b' '; 64 << 20]));
        assert!(matches!(unpacked(encoding, &long, 100), Err(BodyError::TooLarge { limit: 100 })), "{encoding}");
        assert!(matches!(unpacked(encoding, &bomb, 1 << 30), Err(BodyError::TooLarge { .. })), "{encoding}");
        let packed = pack(b"[1, 2, 3]");
        let half = packed.get(..packed.len() - 5).unwrap();
        assert!(matches!(unpacked(encoding, half, 100), Err(BodyError::Malformed(_))), "{encoding}");
    }

    #[test]
    fn a_packed_body_is_unpacked_up_to_its_limit() {
        check("gzip", gzip);
        check("zstd", |bytes| zstd::encode_all(bytes, 3).unwrap());
    }

    #[test]
    fn a_packing_that_asks_for_too_much_memory_is_refused() {
        let mut writer = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        writer.window_log(27).unwrap();
        writer.include_contentsize(false).unwrap();
        writer.write_all(b"{}").unwrap();
        let packed = writer.finish().unwrap();
        assert!(matches!(unpacked("zstd", &packed, 1 << 20), Err(BodyError::Malformed(_))));
    }

    #[test]
    fn other_packings_are_refused() {
        for encoding in ["br", "deflate", "gzip, gzip"] {
            assert_eq!(unpacked(encoding, b"", 1), Err(BodyError::UnsupportedEncoding(encoding.to_owned())));
        }
        assert_eq!(unpacked("", &[b' '; 101], 100), Err(BodyError::TooLarge { limit: 100 }));
    }
}
