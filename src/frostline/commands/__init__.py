"""The commands, by what they are for; each calls `api` and prints. Nothing heavy is imported before one runs."""
