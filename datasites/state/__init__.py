"""A datasite's state: begun once, agreeing with itself, backed up, restored and migrated."""
