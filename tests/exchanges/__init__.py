"""Stand-in exchanges: loopback servers that speak an exchange's dialect, for tests and benchmarks."""
