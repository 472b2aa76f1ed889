//! Byte streams: endpoints, listeners and streams for tcp and ipc.
