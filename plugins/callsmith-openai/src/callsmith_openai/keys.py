"""Which key goes to which server. A key comes from the environment, and is shown nowhere."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from callsmith.errors import Rejected
from callsmith.serving import readable_url

OPENAI_URL = "https://api.openai.com/v1"


@dataclass(frozen=True, repr=False, slots=True)
class Key:
    """A key and the variable it comes from; both empty where a server is sent none."""

    variable: str = ""
    value: str = ""

    def hide(self, text: str) -> str:
        """The text without the key in it. Shorter words than keys are (EMPTY, x) stay."""
        return text.replace(self.value, "…") if len(self.value) > 5 else text


def find_key(url: str, key_env: str = "") -> Key:
    """The key for the server at this URL.

    That is the one in the variable ``key_env``. Without that it is OPENAI_API_KEY, but only for
    OpenAI's own servers and for the one that OPENAI_BASE_URL names: a key goes to nobody else's.
    Raises Rejected where there must be one and is none, or it can be no key; and for OpenAI's own
    servers without TLS, where anybody on the way could read it.
    """
    if is_openai(url) and urlsplit(url).scheme != "https":
        raise Rejected(f"OpenAI's key would go to {readable_url(url)} in clear: write https://")
    variable = key_env
    if not variable and (is_openai(url) or _same(url, os.environ.get("OPENAI_BASE_URL", ""))):
        variable = "OPENAI_API_KEY"
    elif key_env and not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,63}", key_env):
        # What is not shown may be the key itself.
        raise Rejected(
            "key_env is not the key but the name of the variable that holds it, in capitals: "
            "-o key_env=MY_KEY"
        )
    value = os.environ.get(variable, "")
    if not value and key_env:
        raise Rejected(f"there is no key in the variable {key_env}, which key_env names: set it")
    if not value and is_openai(url):
        raise Rejected("OpenAI wants a key: put it into the variable OPENAI_API_KEY")
    if not (value.isascii() and value.isprintable()) or value != value.strip():
        raise Rejected(
            f"what is in the variable {variable} is no key: it has a line break, a space around it "
            "or a letter that is not ASCII"
        )
    return Key(variable, value) if value else Key()


def is_openai(url: str) -> bool:
    """Whether the server is OpenAI's own."""
    host = urlsplit(url).hostname or ""
    return host == "api.openai.com" or host.endswith(".api.openai.com")


def _same(url: str, other: str) -> bool:
    one, two = urlsplit(url.rstrip("/")), urlsplit(other.rstrip("/"))
    return (one.scheme, one.netloc.lower(), one.path) == (two.scheme, two.netloc.lower(), two.path)
