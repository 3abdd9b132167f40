"""Statements of a hospital for the papers of a model, beside its receipts: of its ledger and of its packages."""
