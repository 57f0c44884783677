"""Exchanges as pure data: how to ask, and how to read the answer. No I/O."""
