"""Costs that were composed from the ledger's steps before, kept so that they are not composed again."""
