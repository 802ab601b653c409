"""The shop's periodic tasks: what is due when, and nobody has to think of it."""

from shop.celery import app

__all__ = ["app"]
