"""What a tool gives, as a JSON value that a model can read."""

from __future__ import annotations

import json
from typing import Any

from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
    Tool,
)

from callsmith.chain import JSON


def read_result(result: CallToolResult, tool: Tool) -> JSON:
    """Its structured content, else its texts; what is no text is described, never dumped."""
    if result.structured_content is None:
        return read_content(result)
    value: JSON = result.structured_content
    # A bare value has to be wrapped in an object; servers built with the SDK name it "result".
    if list((tool.output_schema or {}).get("properties", ())) == ["result"] == list(_keys(value)):
        value = value["result"]  # type: ignore[call-overload,index]
    shown = [_describe(part) for part in result.content if not isinstance(part, TextContent)]
    return {"result": value, "content": shown} if shown else value  # type: ignore[dict-item]


def read_content(result: CallToolResult) -> str:
    """The texts and what else there is, in order."""
    return "\n".join(map(_describe, result.content))


def _keys(value: JSON) -> list[str]:
    return list(value) if isinstance(value, dict) else []


def _describe(part: Any) -> str:
    if isinstance(part, TextContent):
        return part.text
    if isinstance(part, ImageContent | AudioContent):
        return f"[{part.type}: {part.mime_type}, {_size(part.data)}]"
    if isinstance(part, ResourceLink):
        return f"[resource {part.uri}{f': {part.description}' if part.description else ''}]"
    if isinstance(part, EmbeddedResource) and isinstance(part.resource, TextResourceContents):
        return part.resource.text
    if isinstance(part, EmbeddedResource) and isinstance(part.resource, BlobResourceContents):
        kind = part.resource.mime_type or "binary"
        return f"[resource {part.resource.uri}: {kind}, {_size(part.resource.blob)}]"
    return f"[{json.dumps(getattr(part, 'type', 'content'))} that can't be shown]"


def _size(base64: str) -> str:
    return f"{len(base64.rstrip('=')) * 3 // 4:,} bytes"
