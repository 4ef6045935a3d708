"""Models in formats that others read, each checked on real pictures before it is handed over."""
