"""A former version: its code, and imports that it had begun; written by tools/former.py."""
