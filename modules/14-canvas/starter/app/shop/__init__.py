"""The shop's nightly figures: what all branches have sold."""

from shop.celery import app

__all__ = ["app"]
