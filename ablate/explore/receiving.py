"""Receive the page's requests: check where they come from, limit their size and time, and validate them."""

import asyncio
import json
import math
from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

BYTES_A_NUMBER = 24
"""The maximum number of bytes that a number of a drawing can take in JSON, with comma and space."""
OTHER_BYTES = 4_096
"""The maximum number of bytes of a request besides the drawing: names of arms, brackets, line breaks."""
MOST_BYTES = 256_000_000
"""The maximum number of bytes of all requests that are received at the same time."""
MOST_CONNECTIONS = 1_000
"""The maximum number of connections. The server answers further requests with the status 503."""
BODY_SECONDS = 30
"""The time in which a request must arrive completely."""

W = TypeVar("W", bound=BaseModel)


class Receiver:
    """Receives the JSON of requests. Further requests wait if too many bytes are on their way."""

    def __init__(self, image_shape: Sequence[int]) -> None:
        """`image_shape` is the shape of a drawing, `(channels, height, width)`."""
        self.largest = math.prod(image_shape) * BYTES_A_NUMBER + OTHER_BYTES
        """The maximum size of a request in bytes."""
        self._places = asyncio.Semaphore(max(1, min(MOST_CONNECTIONS, MOST_BYTES // self.largest)))

    async def receive(self, request: Request, kind: type[W]) -> W:
        """Read and validate the JSON in a request from this server's own page.

        Raises:
            HTTPException: the request comes from another page, is too large or too slow, or is invalid.
        """
        _check_origin(request)
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise HTTPException(415, "send application/json")
        async with self._places:
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    body = await self._read(request)
            except TimeoutError:
                raise HTTPException(
                    408, f"not complete after {BODY_SECONDS} seconds", headers={"connection": "close"}
                ) from None
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            raise HTTPException(400, "the body is not JSON") from None
        return validate(kind, content)

    async def _read(self, request: Request) -> bytes:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self.largest:
                raise HTTPException(413, f"more than {self.largest:,} bytes", headers={"connection": "close"})
        return bytes(body)


def validate(kind: type[W], content: Any) -> W:
    """Validate the content of a request.

    Raises:
        HTTPException: the content has the wrong shape or wrong values. The detail names the first of them.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise HTTPException(422, f"{where}: {first['msg']}" if where else first["msg"]) from None


def _check_origin(request: Request) -> None:
    """Refuse the requests that pages of other origins let a browser send.

    A proxy can change the header `host`. So two other headers are accepted, too, which a page cannot set for
    requests to another origin. `sec-fetch-site` is set by the browser, and `x-forwarded-host` by the proxy.
    """
    origin = request.headers.get("origin")
    if origin is None or request.headers.get("sec-fetch-site") == "same-origin":
        return
    names = (request.headers.get("host"), request.headers.get("x-forwarded-host"))
    if origin.partition("://")[2] not in names:
        raise HTTPException(403, "the request comes from a page of another origin")
