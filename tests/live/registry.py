"""A registry that this machine pushes to and the nodes of a local cluster pull from, both under one name: Debian's docker-registry."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from celerylab.images.bake import bake_dockerfile, build_folder
from celerylab.providers.engine import engine
from tests.live.conftest import run

PORT = 5000
_DOCKERFILE = """\
ARG BASE
FROM ${BASE}
ARG http_proxy
ARG https_proxy
RUN apt-get update && apt-get install --yes --no-install-recommends docker-registry && rm -rf /var/lib/apt/lists/*
RUN echo '{"version": "0.1", "storage": {"filesystem": {"rootdirectory": "/var/lib/docker-registry"}}, "http": {"addr": ":5000"}}' >/etc/registry.yml
ENTRYPOINT []
CMD ["docker-registry", "serve", "/etc/registry.yml"]
"""
# Docker and containerd speak plain HTTP with a registry on 127.0.0.1 alone, so each node has a way from there to the container.
_FORWARD = """
import asyncio, sys
async def copy(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
async def lead(reader, writer):
    far_reader, far_writer = await asyncio.open_connection(sys.argv[2], int(sys.argv[3]))
    await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))
async def main():
    server = await asyncio.start_server(lead, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()
asyncio.run(main())
"""


@contextmanager
def registry(root: Path, folder: Path, network: str, nodes: Sequence[str]) -> Iterator[str]:
    """`127.0.0.1:PORT` of a registry on `network`, for this machine and for each of `nodes` (containers); gone after the block."""
    (folder / "Dockerfile").write_text(_DOCKERFILE, encoding="utf-8")
    image = "celerylab-test/registry:1"
    build_folder(folder, image, {"BASE": bake_dockerfile(root, "bare", lambda _: None)}, "registry", lambda _: None)
    container = engine().containers.run(image, detach=True, ports={f"{PORT}/tcp": ("127.0.0.1", None)})
    try:
        engine().networks.get(network).connect(container)
        container.reload()
        attached = container.attrs["NetworkSettings"]
        address, port = attached["Networks"][network]["IPAddress"], attached["Ports"][f"{PORT}/tcp"][0]["HostPort"]
        for node in nodes:
            run(["docker", "exec", "--detach", node, "python3", "-c", _FORWARD, port, address, str(PORT)], root)
        yield f"127.0.0.1:{port}"
    finally:
        container.remove(force=True, v=True)
        engine().images.remove(image, force=True)
