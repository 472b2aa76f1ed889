//! Nothing to use: a package of tests and examples. What documents show of runtimes is tested here, because that needs them.

#![cfg(doctest)]

#[doc = include_str!("../../docs/async.md")]
struct FromAsyncCode;
