"""Pulumi components: what stacks compose."""

from celerylab.components.lab import LabEnvironment, run_program

__all__ = ["LabEnvironment", "run_program"]
