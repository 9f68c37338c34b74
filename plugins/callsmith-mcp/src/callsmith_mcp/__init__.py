"""The tools of any MCP server as functions: ``-f 'mcp:COMMAND ARGS…'`` or ``-f mcp:https://…``.

`pack.open_server` opens a server.
"""
