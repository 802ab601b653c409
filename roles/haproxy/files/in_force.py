"""Waits until the HAProxy behind the socket argv[1] has the configuration argv[2] in force, for argv[3] seconds. Ends with 1 where it has another."""

import contextlib
import socket
import sys
import time

path, wanted, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
deadline = time.monotonic() + seconds
while True:
    said = ""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as talk:
        talk.settimeout(5)
        talk.connect(path)
        talk.sendall(b"show info\n")
        while more := talk.recv(65536):
            said += more.decode(errors="replace")
    if f"description: {wanted}" in said.splitlines():
        sys.exit(0)
    if time.monotonic() > deadline:
        sys.exit(1)
    time.sleep(0.1)
