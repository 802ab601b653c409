"""Kubernetes clusters as stacks use them: which one, whether it is prepared, and what runs in a stack's namespace."""
