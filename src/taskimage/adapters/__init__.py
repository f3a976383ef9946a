"""Floor 2, adapters: one outside system each, behind a small surface."""
