//! Kick-offs as clients send them.
