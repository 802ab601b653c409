"""Background work of the shop: pictures of its products."""

from shop.celery import app

__all__ = ["app"]
