"""The ledger: what tasks really did, kept outside the lab's broker."""
