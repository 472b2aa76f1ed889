//! Keys in files.
//!
//! What is written is a certificate as pyzmq and czmq have them, so that `zmq.auth.load_certificate` reads it:
//!
//! ```text
//! #   A comment
//! metadata
//! curve
//!     public-key = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
//!     secret-key = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
//! ```
//!
//! What is read is this, or a key by itself, in Z85 or in hexadecimal digits.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use zeroize::Zeroizing;

use super::{KeyError, KeyPair, PublicKey, SecretKey};

/// A certificate with a good deal of metadata is far shorter.
const LONGEST: u64 = 64 * 1024;

const PUBLIC: &str = "public-key";
const SECRET: &str = "secret-key";

impl KeyPair {
    /// Reads a secret key, and the public key that belongs to it, from a file: one that [`write`](KeyPair::write) or `zerohop keygen` has
    /// written, a certificate of pyzmq or czmq (`.key_secret`), or one that holds nothing but the key, in Z85 or in hexadecimal digits.
    ///
    /// # Errors
    ///
    /// There is no such file or no secret key in it; the public key in it is another one's; or others than the file's owner may read
    /// or change it ([`KeyError::Exposed`]; not asked where the system has no such permissions).
    pub fn read(path: impl AsRef<Path>) -> Result<KeyPair, KeyError> {
        let path = path.as_ref();
        let text = read(path, refuse_exposed)?;
        let missing = || KeyError::Missing {
            path: path.to_owned(),
            kind: "secret",
        };
        let found = find(&text, SECRET).ok_or_else(missing)?;
        let secret: SecretKey = found.parse().map_err(|e| KeyError::malformed(path, e))?;
        let keys = KeyPair::from(secret);
        if let Some(public) = named(&text, PUBLIC) {
            let public: PublicKey = public.parse().map_err(|e| KeyError::malformed(path, e))?;
            if public != keys.public() {
                return Err(KeyError::malformed(path, KeyError::Mismatch));
            }
        }
        Ok(keys)
    }

    /// Writes both keys into a file that only its owner may read (mode 0600). pyzmq's `zmq.auth.load_certificate` reads it.
    ///
    /// # Errors
    ///
    /// The system refuses it, or the file is there already.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), KeyError> {
        let text = Zeroizing::new(format!(
            "#   A secret key for CURVE: for its owner alone, who is known by the public key.\n\
             metadata\ncurve\n    {PUBLIC} = \"{}\"\n    {SECRET} = \"{}\"\n",
            self.public(),
            Zeroizing::new(self.secret().to_z85()).as_str(),
        ));
        write(path.as_ref(), &text, 0o600)
    }
}

impl PublicKey {
    /// Reads a public key from a file: one that [`write`](PublicKey::write) or `zerohop keygen` has written, a certificate of pyzmq or czmq (`.key`),
    /// or one that holds nothing but the key, in Z85 or in hexadecimal digits.
    ///
    /// # Errors
    ///
    /// There is no such file, or no public key in it.
    pub fn read(path: impl AsRef<Path>) -> Result<PublicKey, KeyError> {
        let path = path.as_ref();
        let text = read(path, |_, _| Ok(()))?;
        let missing = || KeyError::Missing {
            path: path.to_owned(),
            kind: "public",
        };
        let found = find(&text, PUBLIC).ok_or_else(missing)?;
        found.parse().map_err(|e| KeyError::malformed(path, e))
    }

    /// Writes the key into a file that all may read (mode 0644, less what the process's umask forbids).
    ///
    /// # Errors
    ///
    /// The system refuses it, or the file is there already.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), KeyError> {
        let text = format!(
            "#   A public key for CURVE: for all who are to recognise its owner.\n\
             metadata\ncurve\n    {PUBLIC} = \"{self}\"\n"
        );
        write(path.as_ref(), &text, 0o644)
    }
}

/// The whole file, if it passes the check, which sees the very file that is read.
fn read(
    path: &Path,
    check: fn(&Path, &File) -> Result<(), KeyError>,
) -> Result<Zeroizing<String>, KeyError> {
    let file = File::open(path).map_err(|error| KeyError::io(path, error))?;
    check(path, &file)?;
    // As much as is read, so that no shorter one is left behind when it grows.
    let mut text = Zeroizing::new(String::with_capacity(LONGEST as usize));
    let read = file.take(LONGEST).read_to_string(&mut text);
    read.map_err(|error| KeyError::io(path, error))?;
    Ok(text)
}

#[cfg(unix)]
fn refuse_exposed(path: &Path, file: &File) -> Result<(), KeyError> {
    use std::os::unix::fs::MetadataExt;

    let metadata = file.metadata().map_err(|error| KeyError::io(path, error))?;
    let mode = metadata.mode() & 0o777;
    // Of a pipe, as a shell makes it for `<(…)`, the other end is somebody's who has the key in any case.
    if metadata.is_file() && mode & 0o077 != 0 {
        let path = path.to_owned();
        return Err(KeyError::Exposed { path, mode });
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_exposed(_: &Path, _: &File) -> Result<(), KeyError> {
    Ok(())
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), KeyError> {
    let written = create(path, mode, |file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| KeyError::io(path, error))
}

/// Makes a new file. Half a key is of no use, and would be in the way of a whole one: where it cannot be filled, it is removed.
fn create(
    path: &Path,
    mode: u32,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(path)?;
    fill(&mut file).inspect_err(|_| {
        let _ = fs::remove_file(path);
    })
}

/// The key of this name, or the only thing that there is.
fn find<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut words = text.split_whitespace();
    match (words.next(), words.next()) {
        (Some(word), None) => Some(word),
        _ => named(text, name),
    }
}

/// The value of this name in a certificate.
fn named<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let value = line.trim().strip_prefix(name)?.trim_start();
        let value = value.strip_prefix('=')?.trim();
        Some(value.trim_matches(['"', '\'']))
    })
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;

    /// A directory of the test's own.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Directory {
            let directory = format!("zerohop-keys-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(directory);
            fs::create_dir_all(&path).expect("a directory");
            Directory(path)
        }

        fn file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, text).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its owner");
            path
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn half_a_key_does_not_stay() {
        let directory = Directory::new("half");
        let path = directory.0.join("a.secret");
        let full = |file: &mut File| {
            file.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        };
        let error = create(&path, 0o600, full).expect_err("no room");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let keys = KeyPair::generate().expect("random bytes");
        keys.write(&path).expect("nothing is in the way");
        assert_eq!(KeyPair::read(&path).expect("keys"), keys);
    }

    const PYZMQ: &str = r#"#   ****  Generated on 2026-01-01 00:00:00 by pyzmq  ****
#   ZeroMQ CURVE **Secret** Certificate
#   DO NOT PROVIDE THIS FILE TO OTHER USERS nor change its permissions.

metadata
    name = "public-key = nobody"
curve
    public-key = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
    secret-key = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"
"#;

    #[test]
    fn what_is_written_is_read() {
        let directory = Directory::new("written");
        let keys = KeyPair::generate().expect("random bytes");
        let (secret, public) = (directory.0.join("a.secret"), directory.0.join("a.public"));
        keys.write(&secret).expect("a new file");
        keys.public().write(&public).expect("a new file");
        assert_eq!(KeyPair::read(&secret).expect("keys"), keys);
        assert_eq!(PublicKey::read(&public).expect("a key"), keys.public());
        assert_eq!(PublicKey::read(&secret).expect("a key"), keys.public());
        let mode = fs::metadata(&secret).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!fs::read_to_string(&public).expect("text").contains(SECRET));
        let error = KeyPair::read(&public).expect_err("no secret key");
        assert!(error.to_string().contains("chmod 600"), "{error}");
        for error in [keys.write(&secret), keys.public().write(&public)] {
            assert!(
                matches!(error, Err(KeyError::Io { .. })),
                "never overwritten"
            );
        }
    }

    #[test]
    fn reads_certificates_of_pyzmq_and_keys_by_themselves() {
        let directory = Directory::new("read");
        let secret = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6";
        let keys = KeyPair::from(secret.parse::<SecretKey>().expect("a key"));
        let files = [
            directory.file("server.key_secret", PYZMQ, 0o600),
            directory.file("z85", &format!("{secret}\n"), 0o400),
            directory.file("hex", &format!("  {}  ", keys.secret().to_hex()), 0o600),
        ];
        for path in files {
            assert_eq!(KeyPair::read(&path).expect("keys"), keys, "{path:?}");
        }
        let public = PYZMQ.replace("    secret-key", "#");
        let path = directory.file("server.key", &public, 0o644);
        assert_eq!(PublicKey::read(path).expect("a key"), keys.public());
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused() {
        let directory = Directory::new("exposed");
        for mode in [0o644, 0o640, 0o604, 0o620, 0o602] {
            let path = directory.file(&format!("{mode:o}"), PYZMQ, mode);
            match KeyPair::read(path) {
                Err(KeyError::Exposed { mode: found, .. }) => assert_eq!(found, mode),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn says_what_is_wrong_with_a_file() {
        let directory = Directory::new("wrong");
        let wrong = |text: &str| {
            let path = directory.file("wrong", text, 0o600);
            KeyPair::read(path).expect_err("no keys").to_string()
        };
        assert!(wrong("").contains("no secret key"));
        assert!(wrong("curve\n secret-key = \"short\"").contains("5 characters"));
        assert!(wrong("short").contains("5 characters"));
        let swapped = PYZMQ.replace("rq:rM", "rq:rN");
        assert!(
            wrong(&swapped).contains("does not belong"),
            "{}",
            wrong(&swapped)
        );
        let none = KeyPair::read(directory.0.join("none")).expect_err("no file");
        assert!(matches!(none, KeyError::Io { .. }), "{none}");
    }
}
