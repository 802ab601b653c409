"""Background work of the shop: receipts, bills and reports."""

from shop.celery import app

__all__ = ["app"]
