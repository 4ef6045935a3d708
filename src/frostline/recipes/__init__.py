"""Recipes: settings that are known to work, with what they were measured to give. One YAML file each."""
