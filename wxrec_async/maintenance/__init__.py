"""What is done to an archive afterwards: verify it, delete at the source, rebuild a ledger from it."""
