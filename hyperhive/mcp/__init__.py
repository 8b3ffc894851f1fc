"""The face that each agent sees through its own socket: an MCP server that knows who is calling."""
