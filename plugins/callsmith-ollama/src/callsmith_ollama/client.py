"""The ``ollama`` package's client, with addresses, errors and bodies as callsmith needs them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any, TypeAlias, cast

import httpx

from callsmith.errors import BackendError, ModelFault, Rejected, Unavailable
from callsmith.serving import find_proxy, readable_url, refusal
from callsmith_ollama.failures import failure, scrub, sentence
from callsmith_ollama.library import ollama, parse_host

CONNECT_SECONDS = 10.0

LOOK_SECONDS = 30.0
"""For the first answer, which no model is needed for."""

Part: TypeAlias = Mapping[str, Any]
"""A JSON object that is sent or received."""


def read_address(given: str) -> str:
    """The URL of a server given as OLLAMA_HOST is: host, host:port, :port or a URL; "" is this
    machine's. Raises Rejected for what is none.
    """
    try:
        url = str(parse_host(given))
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL) as error:
        raise Rejected(
            f"{given!r} is no address of a server: write it as http://127.0.0.1:11434 (OLLAMA_HOST)"
        ) from error
    # Where a server listens on all addresses, the variable often says so to clients as well.
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


class Client(ollama.AsyncClient):
    """A client of the server at ``url``, for one model.

    Everything raises BackendErrors. Whatever number of requests it is given is under way at once.
    Raises Rejected for a proxy or certificates in the environment that can't be used.
    """

    def __init__(self, url: str, model: str) -> None:
        self.url = readable_url(url)
        self.model = model
        self.proxy = find_proxy(url)
        # A transport of its own: httpx would take proxies for servers on this machine, too.
        transport = httpx.AsyncHTTPTransport(
            verify=_trusted(url),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
            proxy=self.proxy.url if self.proxy else None,
        )
        super().__init__(
            url,
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
            transport=transport,
            event_hooks={"response": [self._refuse]},
        )

    @property
    def _way(self) -> str:
        return f", asked through the proxy {self.proxy.named}" if self.proxy else ""

    async def version(self) -> str:
        """The server's version. Raises Rejected if what answers is no Ollama."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                said = await self._ask("GET", "/api/version")
        except TimeoutError:
            raise Unavailable(
                f"what listens at {self.url} gave no answer within {LOOK_SECONDS:g} s: start "
                "Ollama anew, or set OLLAMA_HOST to where it is"
            ) from None
        except Rejected as error:
            raise Rejected(
                f"what answers at {self.url} is no Ollama ({error}): give the address that `ollama "
                "serve` shows, without a path"
            ) from error
        return str(said.get("version") or "")

    async def details(self, model: str) -> Part:
        """What ``/api/show`` says; the client's own type for it leaves out what is remote."""
        return await self._ask("POST", "/api/show", {"model": model})

    async def converse(self, body: Part) -> AsyncGenerator[Part, None]:
        """The parts of the answer to a chat request, one if ``stream`` is false in it.

        Not by `chat`: its types leave out of a function's schema what they don't know (minimum,
        anyOf, properties within properties), the ids of calls, and ``truncate``. They are
        checked in the call itself, so that no type of ours could take their place; the request
        method below it takes the body as it is, and is otherwise what `chat` uses.
        """
        if not body["stream"]:
            yield await self._ask("POST", "/api/chat", body)
            return
        with self._told():
            sent = json.dumps(body).encode()
            parts = await self._request(dict, "POST", "/api/chat", content=sent, stream=True)
            async with contextlib.aclosing(cast("AsyncGenerator[Part, None]", parts)) as opened:
                async for part in opened:
                    yield self._sound(part)

    async def fetch(self) -> AsyncGenerator[ollama.ProgressResponse, None]:
        """What happens while the server fetches the model. Raises Rejected if it can't."""
        with self._told():
            try:
                parts = await self.pull(self.model, stream=True)
                opened = cast("AsyncGenerator[ollama.ProgressResponse, None]", parts)
                async with contextlib.aclosing(opened):
                    async for part in opened:
                        yield part
            except ollama.ResponseError as error:
                raise Rejected(
                    f"Ollama can't fetch {self.model} ({scrub(error.error)}): look for its name on "
                    "https://ollama.com/search"
                ) from None

    async def listed(self) -> ollama.ListResponse:
        """The models that the server has."""
        with self._told():
            return await self.list()

    async def _ask(self, method: str, path: str, body: Part | None = None) -> Part:
        # All but ASCII escaped, as httpx would not do: text may hold what UTF-8 has no form for.
        sent = json.dumps(body).encode() if body else None
        with self._told():
            answer: Part = await self._request(dict, method, path, stream=False, content=sent)
            return self._sound(answer)

    def _sound(self, part: Part) -> Part:
        """The part, unless it is an error within a 200."""
        for key, said in part.items():
            if key == "error":
                raise failure(500, sentence(str(said)), self.model)
            if key.startswith("error"):  # 0.11 has the kind of the error in the place of the key
                raise failure(500, f"{key}: {said}", self.model)
        return part

    async def _refuse(self, response: httpx.Response) -> None:
        """Called with every response, before the client reads it: it would lose Retry-After."""
        if response.is_error:
            body, status = await response.aread(), response.status_code
            said = sentence(body.decode(errors="replace"))
            if self.proxy and not body.lstrip().startswith(b"{"):
                if status == 407:
                    raise Rejected(self._wants_password())
                said = (
                    f"{said or f'status {status}'}{self._way}; if that is the proxy speaking, put "
                    "the server's host into NO_PROXY"
                )
            raise failure(status, said, self.model, response.headers.get("Retry-After", ""))

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turns what the client raises into BackendErrors."""
        try:
            yield
        except BackendError:
            raise
        except ollama.ResponseError as error:  # not shown along: its words may hold the key
            raise failure(500, sentence(error.error), self.model) from None
        except (ConnectionError, httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise self._unreachable(error) from error
        except httpx.ProxyError as error:
            raise self._not_let_through(str(error)) from error
        except httpx.HTTPError as error:
            why = str(error) or type(error).__name__
            where = f"{self.url}{self._way}"
            raise Unavailable(f"the connection to Ollama at {where} broke off: {why}") from error
        except RecursionError as error:
            raise ModelFault("the turn can't be read: it is nested too deeply") from error
        except (ValueError, TypeError) as error:
            raise Unavailable(f"what {self.url} answered is no JSON of Ollama's") from error

    def _unreachable(self, error: BaseException) -> BackendError:
        # The client puts a sentence of its own in the place of the reason, which stays behind it.
        reason = f"{error} {error.__context__}"
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            return Rejected(
                f"the certificate of {self.url} is signed by nobody known here: set SSL_CERT_FILE "
                "to the file of who signed it"
            )
        if self.proxy:
            return Unavailable(
                f"the proxy {self.proxy.named} can't be reached: mend it, or put the host of "
                f"{self.url} into NO_PROXY"
            )
        return Unavailable(
            f"there is no Ollama at {self.url}: start it with `ollama serve`, or set OLLAMA_HOST "
            "to where it is"
        )

    def _not_let_through(self, said: str) -> BackendError:
        """For a proxy that makes no tunnel: ``said`` begins with its status."""
        named = self.proxy.named if self.proxy else ""
        status = int(said[:3]) if said[:3].isdigit() else 502
        if status == 407:
            return Rejected(self._wants_password())
        return refusal(
            status,
            f"the proxy {named} lets nobody through to {self.url} ({said}): mend it, or put the "
            "server's host into NO_PROXY",
        )

    def _wants_password(self) -> str:
        named = self.proxy.named if self.proxy else ""
        return f"the proxy {named} wants a password: write it into its URL"


def _trusted(url: str) -> ssl.SSLContext:
    """Whose certificates are trusted. Raises Rejected if the environment names what is none."""
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        if not url.startswith("https:"):  # of no use here
            return ssl.create_default_context()
        raise Rejected(
            f"SSL_CERT_FILE names {os.environ.get('SSL_CERT_FILE')}, which can't be read as "
            f"certificates ({error.strerror or error}): mend it, or unset it"
        ) from error
