//! Who is let in, and who decides: verdicts that come at once, much later, or never, and what they hold up meanwhile, which is nothing.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod events;
    pub(crate) mod unique;
    pub(crate) mod until;
}

#[path = "access/verdicts.rs"]
mod verdicts;
