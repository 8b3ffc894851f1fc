"""The durable core, tested on real files with real processes."""
