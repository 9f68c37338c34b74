"""What callsmith-report provides: the command ``callsmith report``."""

from __future__ import annotations

from callsmith.hookspecs import hookimpl


@hookimpl
def callsmith_commands() -> dict[str, str]:
    return {"report": "callsmith_report.command:report_command"}
