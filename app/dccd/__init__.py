"""dccd: crypto-currency market data, complete, on your own disk, in plain Parquet."""

__version__ = "0.1.0"
