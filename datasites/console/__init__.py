"""The hospital's own side of a running datasite: what admins and reviewers do, on a port of its own, on loopback."""
