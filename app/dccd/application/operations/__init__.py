"""The verbs: backfill, read, chart, inventory, export."""
