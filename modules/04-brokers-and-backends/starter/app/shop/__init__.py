"""Background work of the shop."""

from shop.celery import app

__all__ = ["app"]
