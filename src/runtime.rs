//! Runtime: the threads that run connections.
