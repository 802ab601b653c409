"""The link between sites."""
