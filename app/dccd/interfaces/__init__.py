"""What people and programs reach dccd by: the local API, the command line, the client, the desktop."""
