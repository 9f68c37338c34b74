"""What goes wrong with a server, as errors typed by who must act, one sentence each.

The key is in none of them, whatever the server says.
"""

from __future__ import annotations

import json
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import responses

import aiohttp

from callsmith.backends import Completion
from callsmith.chain import JSON
from callsmith.errors import BackendError, ContextOverflow, ModelFault, Rejected, Unavailable
from callsmith.serving import Proxy, refusal
from callsmith_openai.keys import Key

_NO_CREDIT = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
_TOO_LONG = {"context_length_exceeded", "exceed_context_size_error"}
_FILTERED = {"content_filter", "content_policy_violation", "invalid_prompt"}
_UNREADABLE = re.compile(r"^The model produced output that does not match|^Failed to parse input")
"""What llama.cpp says of a turn that its own parser can't make sense of."""

_NOT_THERE = (404, 405)
_OWN_URL = "the URL must be the API's own, which mostly ends in /v1"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered: ``kind`` is the content type, ``data`` its JSON or None."""

    status: int
    kind: str
    headers: Mapping[str, str]
    body: bytes
    data: JSON


class Failures:
    """Words what went wrong with the server at ``url``, which is sent ``key`` through ``proxy``."""

    def __init__(self, url: str, key: Key, proxy: Proxy | None) -> None:
        self.url = url
        self.key = key
        self.proxy = proxy
        self._way = f", asked through {proxy.shown} ({proxy.variable})," if proxy else ""

    def network(self, error: Exception, looking: bool = False) -> BackendError:
        """For a connection that could not be made, or broke; ``looking`` if it may be the first."""
        url = self.url
        other = ", and is it https:// rather than http://" if url.startswith("http:") else ""
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return Rejected(self._certificate(error.certificate_error))
        if isinstance(error, aiohttp.ClientSSLError):
            return Unavailable(f"{url} does not answer in TLS: is it http:// rather than https://?")
        if isinstance(error, aiohttp.ClientHttpProxyError):
            return refusal(
                error.status,
                f"the proxy {self._proxy()} lets nobody through to {url} ({error.status} "
                f"{error.message}): mend it, or put the server's host into NO_PROXY",
            )
        if isinstance(error, aiohttp.ClientProxyConnectionError):
            return Unavailable(
                f"the proxy {self._proxy()} can't be reached ({_reason(error)}): mend it, or put "
                f"the host of {url} into NO_PROXY"
            )
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            return Unavailable(f"the host of {url} can't be found: is it spelt right?")
        if isinstance(error, aiohttp.ClientConnectorError):
            return Unavailable(
                f"{url} can't be reached ({_reason(error)}): is the server running, and is this "
                "its port?"
            )
        if isinstance(error, aiohttp.ClientResponseError):
            return Unavailable(f"{url} does not answer in HTTP: is this the server's port{other}?")
        if isinstance(error, TimeoutError):
            scheme = url.partition(":")[0]
            return Unavailable(
                f"{url}{self._way} gives no answer: is this the server's port, and is it {scheme}?"
            )
        if isinstance(error, aiohttp.ClientPayloadError):
            return Unavailable(f"{url}{self._way} broke off in the middle of an answer")
        said = f"{url}{self._way} closed the connection without an answer"
        return Unavailable(f"{said}: is this its port{other}?" if looking else said)

    def status(self, answer: Answer) -> BackendError:
        """For an answer whose HTTP status is not 200."""
        if 300 <= answer.status < 400:
            where = self.key.hide(answer.headers.get("Location", "nowhere"))
            return Rejected(f"{self.url} leads on to {where}: write the URL it really has")
        error = _error_in(answer.data)
        words = _words(error) if error else ""
        wait = answer.headers.get("Retry-After", "")
        return self._refused(answer.status, error, words, wait) or self._bare(answer, wait)

    def inside(self, error: JSON) -> BackendError:
        """For an error in an answer whose HTTP status is 200."""
        status = error.get("code") if isinstance(error, Mapping) else None
        if not isinstance(status, int) or not 400 <= status < 600:
            status = 500
        refused = self._refused(status, error, _words(error) or "no reason given", "")
        assert refused
        return refused

    def nonsense(self, what: str) -> Unavailable:
        """For an answer that is none: ``what`` is the predicate, "answered with …"."""
        return Unavailable(f"{self.url}{self._way} {what}")

    def _refused(
        self, status: int, error: JSON, words: str, retry_after: str
    ) -> BackendError | None:
        """For a refusal with the server's own words, if there are any."""
        if status == 401:
            return Rejected(self._unauthorised())
        if status == 407:
            return Rejected(f"the proxy {self._proxy()} wants a password: write it into its URL")
        if not words:
            return None
        words = " ".join(self.key.hide(words).split())
        said = f"{self.url}{self._way} says: {words[:300].rstrip('.')}"
        named = [error.get("code"), error.get("type")] if isinstance(error, Mapping) else []
        codes = {code for code in named if isinstance(code, str)}
        if codes & _NO_CREDIT:
            return Rejected(f"{said} (no waiting mends that)")
        if codes & _TOO_LONG:
            return ContextOverflow(said)
        if codes & _FILTERED or "tool_use_failed" in codes or _UNREADABLE.search(words):
            written = error.get("failed_generation") if isinstance(error, Mapping) else ""
            return ModelFault(words[:300], Completion(str(written or "")))
        if status in (400, 422) and "seed" in words.lower():
            said += "; -o seed=false sends none"
        if status in _NOT_THERE and "model" not in words.lower():
            said += f"; {_OWN_URL}"
        return refusal(status, said, retry_after)

    def _bare(self, answer: Answer, retry_after: str) -> BackendError:
        """For a refusal whose body says nothing in JSON."""
        phrase = responses.get(answer.status, "")
        said = f"{self.url}{self._way} answers {answer.status} {phrase}".rstrip()
        if self.proxy:
            said += "; if that is the proxy speaking, put the server's host into NO_PROXY"
        if answer.status in _NOT_THERE:
            return Rejected(f"{said}: {_OWN_URL}")
        if answer.status == 400 and b"HTTPS" in answer.body:  # nginx, Go
            return Rejected(f"{said}: write https:// rather than http://")
        if answer.kind == "text/plain":
            words = " ".join(self.key.hide(answer.body.decode(errors="replace")).split())
            said += f": {words[:300]}"
        return refusal(answer.status, said, retry_after)

    def _unauthorised(self) -> str:
        # Not in the server's words: OpenAI's show the ends of the key.
        if self.key.value:
            return f"{self.url} does not take the key in the variable {self.key.variable}"
        return (
            f"{self.url} wants a key: put it into a variable and name that with -o key_env=VARIABLE"
        )

    def _proxy(self) -> str:
        return self.proxy.named if self.proxy else ""

    def _certificate(self, error: Exception) -> str:
        why = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else ""
        if "mismatch" in why or "expired" in why:
            return f"the certificate of {self.url} is not to be trusted: {why.rstrip('.')}"
        return (
            f"the certificate of {self.url} is not to be trusted ({why or error}): if you know "
            "it, name its file in the variable SSL_CERT_FILE"
        )


def _error_in(data: JSON) -> JSON:
    """What stands for the error in a body: an object mostly, or a text; None if nothing does.

    OpenAI and llama.cpp write ``{"error": {"message": …}}``, LM Studio ``{"error": "…"}``, vLLM
    ``{"message": …}`` once, FastAPI ``{"detail": …}``.
    """
    if not isinstance(data, Mapping):
        return None
    return data.get("error") or data.get("detail") or (data if data.get("message") else None)


def _words(error: JSON) -> str:
    if isinstance(error, Mapping):
        error = error.get("message") or error.get("msg") or error
    return error if isinstance(error, str) else json.dumps(error)


def _reason(error: aiohttp.ClientConnectorError) -> str:
    code = error.os_error.errno
    return os.strerror(code) if code and code > 0 else str(error.os_error)
