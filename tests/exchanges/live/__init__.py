"""Stand-ins for the exchanges' WebSockets, each in its own dialect."""
