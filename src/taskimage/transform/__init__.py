"""Floor 1, transforms: streams in, values and bytes out; offline and deterministic."""
