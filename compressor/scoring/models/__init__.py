"""Neural models behind the scoring tiers."""
