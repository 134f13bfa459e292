//! Everything public, in one binary. What needs a process of its own is in a binary of its own.
#![cfg(unix)]

mod model;
mod support;
