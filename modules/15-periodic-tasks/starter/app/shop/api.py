"""The schedule API, a WSGI application. gunicorn runs it on api-1. Not yours to change: what it does with an entry is in entries.py.

GET    /entries         200: all entries
POST   /entries         201: adds {"name": ..., "task": ..., "schedule": {"every": 60} or {"crontab": "0 8 * * 1"}, "args": [...]}
DELETE /entries/NAME    204: takes one out

Each request brings the header `Authorization: Bearer TOKEN`. What is wrong with a request is in the answer's "error".
"""

import hmac
import json
import os
import re

from shop import entries

MAX_BODY = 64 * 1024
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
REASONS = {
    200: "OK",
    201: "Created",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
}


def application(environ, start_response):
    """Answer one request."""
    status, value = answer(environ)
    body = b"" if status == 204 else (json.dumps(value) + "\n").encode()
    headers = [] if status == 204 else [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response(f"{status} {REASONS[status]}", headers)
    return [body]


def answer(environ):
    """Status and value of the answer. What entries.py does not expect, the server logs and answers with 500."""
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"].rstrip("/")
    wanted = f"Bearer {os.environ['LAB_API_TOKEN']}"
    if not hmac.compare_digest(environ.get("HTTP_AUTHORIZATION", "").encode(), wanted.encode()):
        return 401, {"error": "this API wants its token"}
    try:
        if path == "/entries" and method == "GET":
            return 200, entries.listing()
        if path == "/entries" and method == "POST":
            length = int(environ.get("CONTENT_LENGTH") or 0)
            if length > MAX_BODY:
                return 413, {"error": f"write at most {MAX_BODY} bytes"}
            entry = read(environ["wsgi.input"].read(length))
            entries.add(**entry)
            return 201, entry
        if path.startswith("/entries/") and method == "DELETE":
            entries.remove(path.removeprefix("/entries/"))
            return 204, None
    except ValueError as error:
        return 400, {"error": str(error)}
    except LookupError as error:
        return 404, {"error": f"there is no {error}"}
    return (405 if path == "/entries" or path.startswith("/entries/") else 404), {"error": f"nobody answers {method} {path}"}


def read(body):
    """The entry in a request's body. Its schedule and its task are for entries.py to judge."""
    entry = json.loads(body)
    if not isinstance(entry, dict) or not {"name", "task", "schedule"} <= entry.keys() <= {"name", "task", "schedule", "args"}:
        raise ValueError('write {"name", "task", "schedule"}, and "args" where the task takes some')
    if not isinstance(entry["name"], str) or not NAME.fullmatch(entry["name"]):
        raise ValueError("name: write at most 64 letters, digits, dots, dashes and underscores")
    if not isinstance(entry["task"], str) or not isinstance(entry["schedule"], dict) or not isinstance(entry.get("args", []), list):
        raise ValueError("task is a text, schedule an object and args a list")
    return {"args": [], **entry}
