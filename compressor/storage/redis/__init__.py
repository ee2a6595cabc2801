"""The store in Redis, which several machines share: one server, Redis Cluster or Sentinel."""
