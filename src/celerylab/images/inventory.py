"""Images of ours that this machine holds."""

from typing import Any

from docker.errors import APIError

from celerylab.providers.engine import engine, engine_errors
from celerylab.topology.names import label


def baked_images() -> list[dict[str, Any]]:
    """Reference, recipe and size in bytes of each image that carries our label, newest first."""
    with engine_errors("listing images"):
        images = engine().images.list(filters={"label": f"{label('kind')}=image"})
    found = [
        {
            "reference": reference,
            "recipe": image.labels.get(label("recipe"), ""),
            "bytes": image.attrs["Size"],
            "created": image.attrs["Created"],
        }
        for image in images
        for reference in image.tags
    ]
    return sorted(found, key=lambda image: str(image["created"]), reverse=True)


def remove_image(reference: str) -> bool:
    """Removes an image; False where a container or another image still needs it."""
    try:
        engine().images.remove(reference)
    except APIError as error:
        if error.status_code == 409:
            return False
        raise
    return True
