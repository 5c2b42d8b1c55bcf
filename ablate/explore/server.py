"""The explorer's page and its answers over HTTP, for whoever sits at this machine."""

import asyncio
import json
import secrets
import socket
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import uvicorn
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from ablate.errors import AblateError
from ablate.explore import answers, page
from ablate.explore.session import Session

LOOPBACK = "127.0.0.1"
OWN_NAMES = (LOOPBACK, "localhost", "[::1]")
LARGEST_BODY = 4_000_000
"""Bytes; a drawing of 3 channels of 224×224 pixels takes up to three million."""

W = TypeVar("W", bound=BaseModel)


def application(session: Session, chosen: Sequence[str], hosts: Sequence[str] = OWN_NAMES) -> Starlette:
    """The page that shows the chosen arms first; it answers only whoever calls it by one of the `hosts`.

    Of another name it would be a page elsewhere whose name was pointed at this machine.
    """
    one_at_a_time = asyncio.Lock()  # torch computes with all cores, and a session keeps what it has found

    async def answered(ask: Callable[[Session, W], Any], wish: W) -> Response:
        async with one_at_a_time:
            return JSONResponse(await run_in_threadpool(ask, session, wish))

    async def show(_: Request) -> Response:
        nonce = secrets.token_urlsafe(16)
        async with one_at_a_time:
            overview = await run_in_threadpool(answers.overview, session, chosen)
        text = page.served(overview, nonce)
        policy = (
            f"default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; "
            "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        )
        return HTMLResponse(text, headers={"content-security-policy": policy})

    async def part(request: Request) -> Response:
        found = page.part(request.path_params["name"])
        if found is None:
            raise HTTPException(404, "no such part of the page")
        return Response(found, media_type="text/javascript")

    async def pictures(request: Request) -> Response:
        query = request.query_params
        given: dict[str, Any] = {name: query[name] for name in query if name != "arm"}
        return await answered(
            answers.pictures, _valid(answers.PictureWish, {**given, "arms": query.getlist("arm")})
        )

    async def read(request: Request) -> Response:
        return await answered(answers.read, _valid(answers.ReadWish, await _sent(request)))

    async def unit(request: Request) -> Response:
        return await answered(answers.unit, _valid(answers.UnitWish, await _sent(request)))

    return Starlette(
        routes=[
            Route("/", show),
            Route("/page/{name}", part),
            Route("/pictures", pictures),
            Route("/read", read, methods=["POST"]),
            Route("/unit", unit, methods=["POST"]),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))],
        exception_handlers={HTTPException: _refused, answers.WishError: _unfulfilled},
    )


def serve(session: Session, chosen: Sequence[str], host: str, port: int, tell: Callable[[str], None]) -> None:
    """Serve the page until interrupted; `tell` gets its address once it can be opened.

    Raises:
        AblateError: the port is taken, or the host is none of this machine's.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        opened = socket.create_server((host, port), family=family)
    except OSError as error:
        raise AblateError(f"--port {port} of {host}: {error.strerror}: choose another with --port") from None
    # Whoever opens it to a network knows by which names the machine is called there.
    hosts = OWN_NAMES if host in (LOOPBACK, "localhost", "::1") else ("*",)
    settings = uvicorn.Config(application(session, chosen, hosts), log_level="warning", lifespan="off")
    with opened:
        name = f"[{host}]" if ":" in host else host
        tell(f"http://{name}:{opened.getsockname()[1]}")
        uvicorn.Server(settings).run(sockets=[opened])


async def _sent(request: Request) -> Any:
    """The JSON that a page of this very server has sent.

    Raises:
        HTTPException: it comes from elsewhere, or is too large or no JSON.
    """
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
        raise HTTPException(403, "asked by a page of another origin")
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "send application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise HTTPException(413, f"more than {LARGEST_BODY:,} bytes", headers={"connection": "close"})
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "that is no JSON") from None


def _valid(wanted: type[W], given: Any) -> W:
    try:
        return wanted.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise HTTPException(422, f"{where}: {first['msg']}" if where else first["msg"]) from None


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, status_code=error.status_code, headers=error.headers)


async def _unfulfilled(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, status_code=422)
