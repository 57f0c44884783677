"""The local HTTP API that the window, the command line and the client all talk to."""
