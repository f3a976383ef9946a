"""Shell scripts, read and followed without a shell."""
