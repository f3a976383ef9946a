"""Inside Flyte: an image builder for its SDKs, and conversions of their values."""
