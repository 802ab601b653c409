"""Typed models of every YAML file of ours, and what follows from them before any resource exists."""
