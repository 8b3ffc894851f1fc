"""The Messages API's wire format for an answer, as a stream of events or as one object."""

import json
from collections.abc import Iterator
from itertools import count
from typing import TypeAlias

from hyperhive.demo.reply import Block, Message, Text, ToolUse

Object: TypeAlias = dict[str, object]

_numbers = count(1)


def whole(message: Message, *, model: str, input_tokens: int) -> Object:
    """Give the answer as one object, for a client that asked for no stream."""
    return {
        **_opening(model, input_tokens),
        "content": [_finished(block) for block in message.blocks],
        "stop_reason": message.stop_reason,
        "usage": _usage(input_tokens, _output_tokens(message)),
    }


def opening(model: str, *, input_tokens: int) -> bytes:
    """Give the event that begins a stream."""
    return _event("message_start", message=_opening(model, input_tokens))


def pieces(message: Message) -> Iterator[bytes]:
    """Give the events between the first one and the last ones, one for each small piece of text."""
    for index, block in enumerate(message.blocks):
        match block:
            case Text(text):
                yield text_start(index)
                # A word or two each, as a real model writes; without a pace they leave in one go anyhow.
                step = 12 if message.seconds else max(len(text), 1)
                for start in range(0, len(text), step):
                    yield text_piece(index, text[start : start + step])
            case ToolUse(_, input):
                yield _event("content_block_start", index=index, content_block={**_finished(block), "input": {}})
                delta = {"type": "input_json_delta", "partial_json": json.dumps(input)}
                yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)


def text_start(index: int) -> bytes:
    """Give the event that begins a block of text."""
    return _event("content_block_start", index=index, content_block={"type": "text", "text": ""})


def text_piece(index: int, text: str) -> bytes:
    """Give the event that adds to a block of text."""
    return _event("content_block_delta", index=index, delta={"type": "text_delta", "text": text})


def closing(message: Message) -> bytes:
    """Give the events that end a stream."""
    stop = {"stop_reason": message.stop_reason, "stop_sequence": None}
    return _event("message_delta", delta=stop, usage={"output_tokens": _output_tokens(message)}) + _event("message_stop")


def tokens(text: str | bytes) -> int:
    """Guess how many tokens a text has: about four characters each."""
    return len(text) // 4 + 1


def _opening(model: str, input_tokens: int) -> Object:
    return {
        "id": f"msg_scripted_{next(_numbers):06}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(input_tokens, 1),
    }


def _usage(input_tokens: int, output_tokens: int) -> Object:
    return {
        "input_tokens": input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }


def _finished(block: Block) -> Object:
    match block:
        case Text(text):
            return {"type": "text", "text": text}
        case ToolUse(tool, input):
            return {"type": "tool_use", "id": f"toolu_scripted_{next(_numbers):06}", "name": tool, "input": dict(input)}


def _output_tokens(message: Message) -> int:
    return sum(tokens(json.dumps(_words(block))) for block in message.blocks)


def _words(block: Block) -> object:
    return block.text if isinstance(block, Text) else dict(block.input)


def _event(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()
