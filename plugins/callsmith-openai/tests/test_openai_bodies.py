"""What servers are sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai_stub import Stub, ask, said

from callsmith.backends import Constraint, Request
from callsmith.chain import Step
from callsmith.errors import Rejected
from callsmith_openai.backend import open_backend
from callsmith_openai.bodies import KEPT, Bodies

ADD = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


def written(request: Request, openai: bool = False, seeded: bool = True) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(Bodies("m", openai, seeded).write(request))
    return body


def test_a_turn_is_sent_whole() -> None:
    request = ask(
        tools=(ADD,),
        seed=41,
        steps=(Step(),),
        temperature=0.5,
        top_p=0.9,
        max_tokens=64,
        stop=("END",),
        extra={"top_k": 5, "chat_template_kwargs": {"enable_thinking": False}},
    )
    assert written(request) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [ADD],
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 64,
        "stop": ["END"],
        "seed": 42,
        "top_k": 5,
        "chat_template_kwargs": {"enable_thinking": False},
    }


def test_openai_is_sent_the_fields_that_its_newest_models_take() -> None:
    body = written(ask(max_tokens=64), openai=True)
    assert body["max_completion_tokens"] == 64
    assert not {"max_tokens", "top_p"} & set(body)
    assert written(ask(top_p=0.9), openai=True)["top_p"] == 0.9


def test_no_seed_is_sent_where_a_server_takes_none() -> None:
    assert "seed" not in written(ask(seed=7), seeded=False)


@pytest.mark.parametrize("name", ["model", "messages", "seed", "n", "stream", "max_tokens"])
def test_an_extra_that_callsmith_sets_itself_is_refused(name: str) -> None:
    with pytest.raises(Rejected, match=f"{name} is no extra of sampling"):
        written(ask(extra={name: 1}))


def test_arguments_are_text_on_the_wire_and_stay_objects_here() -> None:
    function = {"name": "add", "arguments": {"a": 1, "b": "ä"}}
    call = {"id": "call_1", "type": "function", "function": function}
    message = {"role": "assistant", "content": "", "tool_calls": [call]}
    sent = written(ask(messages=[message]))["messages"][0]["tool_calls"][0]
    assert json.loads(sent["function"]["arguments"]) == {"a": 1, "b": "ä"}
    assert function["arguments"] == {"a": 1, "b": "ä"}


def test_what_a_turn_is_held_to_is_sent_as_a_schema_or_a_grammar() -> None:
    schema = written(ask(constraint=Constraint({"type": "object"})))["response_format"]
    assert schema["json_schema"] == {"name": "call", "schema": {"type": "object"}, "strict": True}
    assert written(ask(constraint=Constraint(grammar="root ::= 'a'")))["grammar"] == "root ::= 'a'"


def test_what_is_kept_of_earlier_messages_is_never_sent_for_others() -> None:
    bodies = Bodies("m", False, True)
    for n in range(3 * KEPT):
        body = json.loads(bodies.write(ask(str(n))))  # each message may lie where one lay before
        assert body["messages"][0]["content"] == str(n)


async def test_a_field_that_a_server_refuses_is_not_sent_again(stub: Stub) -> None:
    def chat(body: Any) -> tuple[int, Any]:
        if "stream_options" in body:
            return 422, {"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs"}]}
        return 200, said()

    stub.answers["/v1/chat/completions"] = chat
    backend = open_backend(f"m@{stub.url}/v1")
    for _ in range(2):
        assert (await backend.complete(ask(on_text=lambda piece: None))).text == "hello"
    await backend.close()
    assert ["stream_options" in asked[3] for asked in stub.asked] == [True, False, False]
