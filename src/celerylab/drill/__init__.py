"""Disaster drills: a fault with a clock, on a stack with sites, while applications send tasks."""
