"""Who may come in: certificates, accounts and the hospital's own people."""
