"""A second Docker engine in a network namespace of its own: it may be restarted, and its disk may be full, without harm to anybody.

Run as a program inside the namespace, it brings loopback up and becomes dockerd.
"""

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

from docker import DockerClient
from docker.errors import DockerException

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1


class SecondEngine:
    """A context manager. `environment` points commands at it; `enter` is the prefix that runs one in its network namespace."""

    def __init__(self, folder: Path, size: str) -> None:
        self._folder, self._size = folder, size
        self._process: subprocess.Popen[bytes] | None = None
        self.environment = {"DOCKER_HOST": f"unix://{folder}/docker.sock"}

    def __enter__(self) -> "SecondEngine":
        # A disk of its own: a file system in memory with a limit.
        (self._folder / "data").mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self._size}", "tmpfs", str(self._folder / "data")], check=True)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.close()
        # What containers mounted below goes first.
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
        for mount in sorted((mount for mount in mounts if mount.startswith(str(self._folder))), reverse=True):
            subprocess.run(["umount", "--lazy", mount], check=False)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def client(self) -> DockerClient:
        return DockerClient(base_url=self.environment["DOCKER_HOST"], timeout=120)

    @property
    def enter(self) -> list[str]:
        assert self._process is not None
        return ["nsenter", f"--net=/proc/{self._holder.pid}/ns/net", "--"]

    def start(self) -> None:
        """Starts dockerd in the namespace, which outlives it."""
        if not hasattr(self, "_holder"):
            self._holder = subprocess.Popen(["unshare", "--net", sys.executable, __file__, "hold"], stdout=subprocess.PIPE)
            assert self._holder.stdout is not None
            self._holder.stdout.readline()  # loopback is up
        options = {
            "data-root": f"{self._folder}/data/docker",
            "exec-root": f"{self._folder}/exec",
            "pidfile": f"{self._folder}/docker.pid",
            "host": self.environment["DOCKER_HOST"],
            "log-level": "warn",
        }
        line = ["nsenter", f"--net=/proc/{self._holder.pid}/ns/net", "dockerd", *(f"--{name}={value}" for name, value in options.items())]
        with (self._folder / "dockerd.log").open("ab") as log:
            self._process = subprocess.Popen(line, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while True:
            try:
                self.client.ping()
                return
            except DockerException:
                assert time.monotonic() < deadline, (self._folder / "dockerd.log").read_text(encoding="utf-8")
                time.sleep(0.2)

    def stop(self) -> None:
        """Stops dockerd, and with it everything that it runs."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(timeout=60)

    def close(self) -> None:
        """Lets the namespace go."""
        self._holder.terminate()
        self._holder.wait(timeout=10)

    def copy_images(self, references: list[str]) -> None:
        """Takes images over from the first engine."""
        save = subprocess.Popen(["docker", "save", *references], stdout=subprocess.PIPE)
        subprocess.run(
            ["docker", "load", "--quiet"], stdin=save.stdout, check=True, env={**os.environ, **self.environment}, stdout=subprocess.DEVNULL
        )
        assert save.wait() == 0


def _hold() -> None:
    """Brings loopback up and keeps the namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack("16xh14x", fcntl.ioctl(control, _SIOCGIFFLAGS, request))
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))
    sys.stdout.write("up\n")
    sys.stdout.flush()
    time.sleep(10**6)


if __name__ == "__main__":
    _hold()
