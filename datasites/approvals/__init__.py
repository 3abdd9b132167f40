"""Approvals: the decisions of the hospital's people, each with the digest of all that it covers."""
