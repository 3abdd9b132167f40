"""What a hospital states for the papers of a model beside its receipts: its ledger as a whole, and its packages."""
