"""All disk I/O: journal, period files, coverage, catalog, export. `docs/storage.md` is the protocol."""
