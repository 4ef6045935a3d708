"""Activations: keys, stores, the pass, feeds."""
