//! Where the parts of the shop meet: sockets of the file system, in a folder of the day.
//!
//! Names known in advance let all processes start in any order, and one take the place of another.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;

pub(crate) fn orders(at: &str) -> String {
    format!("ipc://{at}/orders")
}

pub(crate) fn price(at: &str) -> String {
    format!("ipc://{at}/price")
}

pub(crate) fn reviews(at: &str) -> String {
    format!("ipc://{at}/reviews")
}

pub(crate) fn books(at: &str) -> String {
    format!("ipc://{at}/books")
}

pub(crate) fn closing(at: &str) -> String {
    format!("ipc://{at}/closing")
}

/// The folder, removed when the day is over.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn make() -> Result<Folder> {
        let path = std::env::temp_dir().join(format!("zerohop-shop-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Folder(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What can't be removed stays in the folder for temporary files, where it does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}
