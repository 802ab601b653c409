"""Pulumi dynamic resources. Providers are pickled by import path: these modules never move, and their classes hold no state."""
