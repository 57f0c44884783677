"""The field's terms as values: pure, synchronous, no I/O."""
