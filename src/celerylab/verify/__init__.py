"""Decides objectives on a running stack: checks, verdicts, faults, reports. The contract is docs/verification.md."""
