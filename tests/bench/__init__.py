"""Benchmarks: commands that print figures; nothing here is timed by a test."""
