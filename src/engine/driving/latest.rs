//! What one thing after the other has alike, in memory once.
//!
//! The sockets of a program mostly come with the same few options, and its peers say the same of themselves. A comparison with what the one
//! before had finds nearly all of that.

use std::fmt;
use std::sync::{Arc, Mutex, Weak};

use crate::engine::lock;

/// The last value that was shared, as long as somebody has it. Values that are equal must do the same.
pub(crate) struct Latest<T>(Mutex<Weak<T>>);

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Latest(Mutex::new(Weak::new()))
    }
}

impl<T: PartialEq> Latest<T> {
    /// This value: in the memory of the last one if that is equal, and otherwise the last one from now on.
    pub(crate) fn share(&self, value: T) -> Arc<T> {
        // No value is compared or dropped under the lock: it may hold what is the application's.
        match self.get() {
            Some(last) if *last == value => last,
            Some(_) | None => {
                let value = Arc::new(value);
                self.set(&value);
                value
            }
        }
    }

    /// The last value, if somebody has it.
    pub(crate) fn get(&self) -> Option<Arc<T>> {
        lock(&self.0).upgrade()
    }

    /// Makes a value the last one.
    pub(crate) fn set(&self, value: &Arc<T>) {
        *lock(&self.0) = Arc::downgrade(value);
    }
}

impl<T> fmt::Debug for Latest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latest").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_the_memory_of_the_last_one() {
        let latest = Latest::default();
        let first = latest.share("one".to_owned());
        assert!(Arc::ptr_eq(&first, &latest.share("one".to_owned())));
        let other = latest.share("two".to_owned());
        assert_eq!(*other, "two");
        let again = latest.share("one".to_owned());
        assert!(!Arc::ptr_eq(&first, &again), "only the last one is known");
        assert_eq!(first, again);
    }

    #[test]
    fn keeps_no_value_that_nobody_has() {
        let latest = Latest::default();
        let value = latest.share("one".to_owned());
        let weak = Arc::downgrade(&value);
        drop(value);
        assert!(weak.upgrade().is_none());
        assert_eq!(latest.get(), None);
    }
}
