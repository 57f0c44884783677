"""What the program does, apart from how it is asked: operations, runs, events, configuration."""
