//! Keys as text: Z85 (RFC 32), 40 characters, or 64 hexadecimal digits. The length says which of them it is.

use zeroize::Zeroizing;

use super::{KEY, KeyError};

const ALPHABET: &[u8; 85] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/// The length of a key in Z85: five characters for four bytes.
pub(super) const Z85: usize = KEY / 4 * 5;

/// The length of a key in hexadecimal digits.
pub(super) const HEX: usize = 2 * KEY;

pub(super) fn to_z85(key: &[u8; KEY]) -> String {
    let mut text = String::with_capacity(Z85);
    for word in key.as_chunks::<4>().0 {
        let mut value = u32::from_be_bytes(*word);
        let mut digits = [0; 5];
        for digit in digits.iter_mut().rev() {
            *digit = ALPHABET[(value % 85) as usize];
            value /= 85;
        }
        text.extend(digits.map(char::from));
    }
    text
}

pub(super) fn to_hex(key: &[u8; KEY]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    let mut text = String::with_capacity(HEX);
    for byte in key {
        text.extend([digit(byte >> 4), digit(byte & 15)]);
    }
    text
}

pub(super) fn parse(text: &str) -> Result<Zeroizing<[u8; KEY]>, KeyError> {
    match text.len() {
        Z85 => from_z85(text.as_bytes()),
        HEX => from_hex(text.as_bytes()),
        given => Err(KeyError::Length { given }),
    }
}

fn from_z85(text: &[u8]) -> Result<Zeroizing<[u8; KEY]>, KeyError> {
    let mut key = Zeroizing::new([0; KEY]);
    let words = key.as_chunks_mut::<4>().0.iter_mut();
    for (index, (word, digits)) in words.zip(text.as_chunks::<5>().0).enumerate() {
        let mut value = 0_u32;
        for (offset, character) in digits.iter().enumerate() {
            let position = index * 5 + offset;
            let digit = ALPHABET.iter().position(|known| known == character);
            let digit = digit.ok_or(KeyError::Character { position })? as u32;
            let next = value.checked_mul(85).and_then(|v| v.checked_add(digit));
            value = next.ok_or(KeyError::Overflow {
                position: index * 5,
            })?;
        }
        *word = value.to_be_bytes();
    }
    Ok(key)
}

fn from_hex(text: &[u8]) -> Result<Zeroizing<[u8; KEY]>, KeyError> {
    let digit = |position: usize| {
        let value = text.get(position).and_then(|c| char::from(*c).to_digit(16));
        value.ok_or(KeyError::Character { position })
    };
    let mut key = Zeroizing::new([0; KEY]);
    for (index, byte) in key.iter_mut().enumerate() {
        *byte = (digit(2 * index)? << 4 | digit(2 * index + 1)?) as u8;
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test case of RFC 32, four times over.
    #[test]
    fn reads_and_writes_the_example_of_the_rfc() {
        let bytes = [0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b];
        let key: [u8; KEY] = [bytes; 4].concat().try_into().expect("32 bytes");
        let text = "HelloWorld".repeat(4);
        assert_eq!(to_z85(&key), text);
        assert_eq!(parse(&text).ok().as_deref(), Some(&key));
        let hex = to_hex(&key);
        assert!(hex.starts_with("864fd26fb559f75b864f"));
        assert_eq!(parse(&hex).ok().as_deref(), Some(&key));
        assert_eq!(parse(&hex.to_uppercase()).ok().as_deref(), Some(&key));
    }

    #[test]
    fn says_what_is_wrong_with_a_text() {
        let wrong = |text: &str| parse(text).expect_err("no key").to_string();
        let good = "HelloWorld".repeat(4);
        assert!(wrong("").contains("0 characters"));
        assert!(wrong(&good[1..]).contains("39 characters"));
        assert!(wrong(&good.replace('W', "~")).contains("character 6 "));
        // 2^32 is %nSc1.
        assert!(wrong(&format!("{}%nSc1", &good[..35])).contains("from 36 on"));
        assert!(parse(&format!("{}%nSc0", &good[..35])).is_ok());
        assert!(wrong(&"0g".repeat(32)).contains("character 2 "));
        assert!(wrong(&"ä".repeat(20)).contains("character 1 "));
    }
}
