"""Background work of the shop: payments."""

from shop.celery import app

__all__ = ["app"]
