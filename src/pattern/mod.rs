//! What makes a PUSH a PUSH: pure data structures over peer ids.
