"""Access: certificates, accounts, and the hospital's own people."""
