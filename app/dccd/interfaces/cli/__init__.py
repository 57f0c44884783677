"""The command line. Every command is a client of the local API, see :mod:`dccd.interfaces.client`."""
