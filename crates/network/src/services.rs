//! What a network offers to its guests.
