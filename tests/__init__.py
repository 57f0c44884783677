"""Tests of dccd."""
