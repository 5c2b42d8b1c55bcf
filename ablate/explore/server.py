"""Serve the explorer's page over HTTP, and answer its requests. By default, only this machine can connect."""

import secrets
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import uvicorn
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from ablate.errors import AblateError
from ablate.explore import answers, page, questions, training_answers
from ablate.explore.receiving import MOST_CONNECTIONS, Receiver, validate
from ablate.explore.session import Session
from ablate.explore.turns import Turns

LOOPBACK = "127.0.0.1"
OWN_NAMES = (LOOPBACK, "localhost", "[::1]")

W = TypeVar("W", bound=BaseModel)
Endpoint = Callable[[Request], Awaitable[Response]]


def build_application(session: Session, chosen: Sequence[str], hosts: Sequence[str] = OWN_NAMES) -> Starlette:
    """Build the web application. It accepts a request only if the request names one of the `hosts`.

    This check prevents DNS rebinding. In this attack, the page of another site makes its own host name point
    to this machine.
    """
    turns, receiver = Turns(session), Receiver(session.image_shape)

    async def answer(compute: Callable[[Session, W], Any], request: W) -> Response:
        return JSONResponse(await turns.compute(compute, session, request))

    async def show(_: Request) -> Response:
        nonce = secrets.token_urlsafe(16)
        overview = await turns.compute(answers.describe_session, session, chosen)
        text = page.render_for_server(overview, nonce)
        policy = (
            f"default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; "
            "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        )
        return HTMLResponse(text, headers={"content-security-policy": policy})

    async def script(request: Request) -> Response:
        content = page.read_script(request.path_params["name"])
        if content is None:
            raise HTTPException(404, "no such script")
        return Response(content, media_type="text/javascript")

    async def pictures(request: Request) -> Response:
        query = request.query_params
        parameters: dict[str, Any] = {name: query[name] for name in query if name != "arm"}
        valid = validate(answers.PicturesRequest, {**parameters, "arms": query.getlist("arm")})
        return await answer(answers.list_pictures, valid)

    def answer_post(kind: type[BaseModel], compute: Callable[[Session, Any], Any]) -> Endpoint:
        async def respond(request: Request) -> Response:
            return await answer(compute, await receiver.receive(request, kind))

        return respond

    posts: dict[str, tuple[type[BaseModel], Callable[[Session, Any], Any]]] = {
        "/read": (answers.ReadRequest, answers.read_image),
        "/unit": (answers.UnitRequest, answers.explain_unit),
        **training_answers.POSTS,
        **questions.POSTS,
    }
    return Starlette(
        routes=[
            Route("/", show),
            Route("/page/{name}", script),
            Route("/pictures", pictures),
            *(Route(path, answer_post(*what), methods=["POST"]) for path, what in posts.items()),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))],
        exception_handlers={HTTPException: _report_http_error, answers.RequestError: _report_request_error},
    )


def serve(session: Session, chosen: Sequence[str], host: str, port: int, tell: Callable[[str], None]) -> None:
    """Serve the page until a user interrupts. `tell` is called with the address when the page can be opened.

    Raises:
        AblateError: the port is in use, or `host` is no address of this machine.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise AblateError(f"--port {port} of {host}: {error.strerror}: choose another with --port") from None
    # On a network, this machine can have names that ablate does not know. So every host name is accepted.
    hosts = OWN_NAMES if host in (LOOPBACK, "localhost", "::1") else ("*",)
    settings = uvicorn.Config(
        build_application(session, chosen, hosts),
        log_level="warning",
        lifespan="off",
        limit_concurrency=MOST_CONNECTIONS,
    )
    with listener:
        name = f"[{host}]" if ":" in host else host
        tell(f"http://{name}:{listener.getsockname()[1]}")
        uvicorn.Server(settings).run(sockets=[listener])


async def _report_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, status_code=error.status_code, headers=error.headers)


async def _report_request_error(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, status_code=422)
