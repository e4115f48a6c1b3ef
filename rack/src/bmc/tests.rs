//! Queues and drivers.
