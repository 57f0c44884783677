"""All network I/O, the same for every exchange."""
