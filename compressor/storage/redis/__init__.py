"""The shared store: Redis, alone, clustered or behind Sentinel."""
