//! What the host's kernel has for networks.
