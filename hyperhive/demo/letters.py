"""An MCP server whose one tool counts a letter in a text."""

import json
import sys
from typing import Any

# Whether a capital letter counts as its small one.
SAME = True
TOOL = {
    "name": "count",
    "description": "Count how often a letter stands in a text.",
    "inputSchema": {
        "type": "object",
        "properties": {"letter": {"type": "string"}, "text": {"type": "string"}},
        "required": ["letter", "text"],
    },
}


def count(letter: str, text: str) -> int:
    """How often the letter stands in the text."""
    return text.casefold().count(letter.casefold()) if SAME else text.count(letter)


def answer(method: str, given: dict[str, Any]) -> dict[str, Any]:
    """What is answered to a request; raises LookupError for a method that is not known."""
    match method:
        case "initialize":
            version, info = given["protocolVersion"], {"name": "letters", "version": "1.0"}
            return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
        case "ping":
            return {}
        case "tools/list":
            return {"tools": [TOOL]}
        case "tools/call":
            found = count(**given["arguments"])
            return {"content": [{"type": "text", "text": str(found)}]}
        case _:
            raise LookupError(method)


def serve() -> None:
    """Answer JSON-RPC, an object a line, until there is no more of it."""
    for line in sys.stdin:
        request = json.loads(line)
        if "id" not in request:
            continue
        reply = {"jsonrpc": "2.0", "id": request["id"]}
        try:
            reply["result"] = answer(request["method"], request.get("params", {}))
        except LookupError as error:
            reply["error"] = {"code": -32601, "message": f"unknown method {error}"}
        print(json.dumps(reply), flush=True)


def check() -> None:
    """Try it, and say what came out."""
    for letter, text, right in (("l", "Hello", 2), ("o", "tool", 2), ("H", "hive", int(SAME))):
        found = count(letter, text)
        print(f"{found} {letter} in {text}: {'right' if found == right else 'wrong'}")
        if found != right:
            sys.exit(1)


if __name__ == "__main__":
    check() if "--check" in sys.argv else serve()
