"""Data folders of the dccd 3 package: recognised, listed, read, never written to; `docs/adopting.md`."""
