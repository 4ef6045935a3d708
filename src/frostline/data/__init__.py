"""Pictures: where they come from, the index, splits, decoding, views."""
