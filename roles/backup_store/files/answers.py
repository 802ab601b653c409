"""Ends when something listens on the address and port that are its arguments, and fails where nothing does for 10 seconds."""

import socket
import sys
import time

deadline = time.monotonic() + 10
while True:
    try:
        socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1).close()
        break
    except OSError as error:
        if time.monotonic() > deadline:
            sys.exit(f"nothing listens on port {sys.argv[2]} of {sys.argv[1]}: {error}")
        time.sleep(0.1)
