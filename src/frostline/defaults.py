"""What holds where nothing else was said, for more than one command."""

MAX_PIXELS = 50_000_000
"""Of a picture, width times height: larger ones are refused before they are decoded."""
TOPK = 5
"""Classes that an answer names."""
THRESHOLD = 0.5
"""An answer whose first class is less probable is unsure."""
