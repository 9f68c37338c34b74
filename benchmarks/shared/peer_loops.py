"""The loops of other tools, with a model that answers at once. Run by the peers' own interpreter.

    python peer_loops.py microchain STEPS CHAINS

prints the CPU microseconds that a step took. Each adds two numbers STEPS - 1 times in a chain, then
ends. Nothing is recorded: none of them does it in a way that compares.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any


def microchain(steps: int) -> Callable[[], None]:
    from microchain import Agent, Engine, Function

    class Add(Function):
        description = "Add two numbers"
        example_args = [2, 2]  # noqa: RUF012

        def __call__(self, a: float, b: float) -> float:
            return a + b

    def chain() -> None:
        engine = Engine()
        engine.register(Add())
        turns = iter(range(steps))
        agent = Agent(llm=lambda messages, stop: f"Add(a={next(turns)}, b=1)", engine=engine)
        agent.prompt = engine.help
        agent.run(iterations=steps)

    return chain


def llm(steps: int) -> Callable[[], None]:
    import llm as library

    def add(a: float, b: float) -> float:
        """Add two numbers."""
        return a + b

    class Instant(library.Model):
        model_id = "instant"
        supports_tools = True

        def __init__(self) -> None:
            self.turn = 0

        def execute(
            self, prompt: Any, stream: bool, response: Any, conversation: Any
        ) -> Iterator[str]:
            self.turn += 1
            if self.turn == steps:
                yield "done"
            else:
                call = library.ToolCall(name="add", arguments={"a": self.turn, "b": 1})
                response.add_tool_call(call)

    def chain() -> None:
        model = Instant()
        model.chain("Add.", tools=[add]).text()
        assert model.turn == steps

    return chain


def langgraph(steps: int) -> Callable[[], None]:
    import warnings

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGeneration, ChatResult
    from langgraph.prebuilt import create_react_agent

    warnings.simplefilter("ignore")

    def add(a: float, b: float) -> float:
        """Add two numbers."""
        return a + b

    class Instant(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "instant"

        def bind_tools(self, tools: Any, **options: Any) -> Any:
            return self

        def _generate(self, messages: Any, *rest: Any, **options: Any) -> ChatResult:
            turn = len(messages) // 2
            call = {"name": "add", "args": {"a": turn, "b": 1}, "id": f"c{turn}"}
            calls = [call] if turn < steps - 1 else []
            message = AIMessage("" if calls else "done", tool_calls=calls)
            return ChatResult(generations=[ChatGeneration(message=message)])

    agent = create_react_agent(Instant(), [add])

    def chain() -> None:
        found = agent.invoke({"messages": [("user", "Add.")]}, {"recursion_limit": 2 * steps + 9})
        assert len(found["messages"]) == 2 * steps

    return chain


def main() -> None:
    name, steps, chains = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    chain = {"microchain": microchain, "llm": llm, "langgraph": langgraph}[name](steps)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
        chain()  # imports and first uses are nobody's steps
        began = time.process_time()
        for _ in range(chains):
            chain()
        took = time.process_time() - began
    print(1e6 * took / (steps * chains))


if __name__ == "__main__":
    main()
