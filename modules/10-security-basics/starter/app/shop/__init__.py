"""Background work of the shop: payments and receipts."""

from shop.celery import app

__all__ = ["app"]
