//! Keys of CURVE as text: Z85 (RFC 32), 40 characters, or 64 hexadecimal digits. The length says which of them it is.
//!
//! Lists in files have keys without the feature `curve`, too: so reading them needs nothing of it, and the keys themselves wrap what is
//! wrong in their own error.

/// The bytes of a key, public or secret.
pub(crate) const KEY: usize = 32;

/// The length of a key in Z85: five characters for four bytes.
const Z85: usize = KEY / 4 * 5;

/// The length of a key in hexadecimal digits.
const HEX: usize = 2 * KEY;

const ALPHABET: &[u8; 85] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/// Why a text is no key. Never says what the text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyTextError {
    /// It is as long as neither form.
    Length { given: usize },
    /// A byte that does not occur in the form that the length says.
    Character { position: usize },
    /// Five characters of Z85 that stand for more than four bytes hold, from here on.
    Overflow { position: usize },
}

/// Reads a key into memory of the caller's, who knows whether it has to be overwritten; on an error, too, part of it may be in there.
pub(crate) fn parse(text: &str, key: &mut [u8; KEY]) -> Result<(), KeyTextError> {
    match text.len() {
        Z85 => from_z85(text.as_bytes(), key),
        HEX => from_hex(text.as_bytes(), key),
        given => Err(KeyTextError::Length { given }),
    }
}

fn from_z85(text: &[u8], key: &mut [u8; KEY]) -> Result<(), KeyTextError> {
    let words = key.as_chunks_mut::<4>().0.iter_mut();
    for (index, (word, digits)) in words.zip(text.as_chunks::<5>().0).enumerate() {
        let mut value = 0_u32;
        for (offset, character) in digits.iter().enumerate() {
            let position = index * 5 + offset;
            let digit = ALPHABET.iter().position(|known| known == character);
            let digit = digit.ok_or(KeyTextError::Character { position })? as u32;
            let next = value.checked_mul(85).and_then(|v| v.checked_add(digit));
            value = next.ok_or(KeyTextError::Overflow {
                position: index * 5,
            })?;
        }
        *word = value.to_be_bytes();
    }
    Ok(())
}

fn from_hex(text: &[u8], key: &mut [u8; KEY]) -> Result<(), KeyTextError> {
    let digit = |position: usize| {
        let value = text.get(position).and_then(|c| char::from(*c).to_digit(16));
        value.ok_or(KeyTextError::Character { position })
    };
    for (index, byte) in key.iter_mut().enumerate() {
        *byte = (digit(2 * index)? << 4 | digit(2 * index + 1)?) as u8;
    }
    Ok(())
}

#[cfg(any(test, feature = "curve"))]
pub(crate) fn to_z85(key: &[u8; KEY]) -> String {
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

#[cfg(any(test, feature = "curve"))]
pub(crate) fn to_hex(key: &[u8; KEY]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    let mut text = String::with_capacity(HEX);
    for byte in key {
        text.extend([digit(byte >> 4), digit(byte & 15)]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<[u8; KEY], KeyTextError> {
        let mut key = [0; KEY];
        parse(text, &mut key).map(|()| key)
    }

    /// The test case of RFC 32, four times over.
    #[test]
    fn reads_and_writes_the_example_of_the_rfc() {
        let bytes = [0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b];
        let key: [u8; KEY] = [bytes; 4].concat().try_into().expect("32 bytes");
        let text = "HelloWorld".repeat(4);
        assert_eq!(to_z85(&key), text);
        assert_eq!(read(&text), Ok(key));
        let hex = to_hex(&key);
        assert!(hex.starts_with("864fd26fb559f75b864f"));
        assert_eq!(read(&hex), Ok(key));
        assert_eq!(read(&hex.to_uppercase()), Ok(key));
    }

    #[test]
    fn says_what_is_wrong_with_a_text() {
        let wrong = |text: &str| read(text).expect_err("no key");
        let good = "HelloWorld".repeat(4);
        assert_eq!(wrong(""), KeyTextError::Length { given: 0 });
        assert_eq!(wrong(&good[1..]), KeyTextError::Length { given: 39 });
        let replaced = good.replace('W', "~");
        assert_eq!(wrong(&replaced), KeyTextError::Character { position: 5 });
        // 2^32 is %nSc1.
        let above = format!("{}%nSc1", &good[..35]);
        assert_eq!(wrong(&above), KeyTextError::Overflow { position: 35 });
        assert!(read(&format!("{}%nSc0", &good[..35])).is_ok());
        let digits = "0g".repeat(32);
        assert_eq!(wrong(&digits), KeyTextError::Character { position: 1 });
        let umlauts = "ä".repeat(20);
        assert_eq!(wrong(&umlauts), KeyTextError::Character { position: 0 });
    }
}
