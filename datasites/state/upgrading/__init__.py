"""Upgrades of older state folders: migrations of their books, and a migrated copy put in its place."""
