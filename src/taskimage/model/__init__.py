"""Floor 0, values: immutable, compared by content; no socket, no file, no clock, no environment."""
