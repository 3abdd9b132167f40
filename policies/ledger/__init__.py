"""The ledger: budget that was reserved and spent, in a sealed chain that cannot be cut, and the receipts over it."""
