"""The `celerylab` command: what Pulumi has not."""
