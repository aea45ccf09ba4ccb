"""An observer that keeps what it is told."""

from typing import Any

from opeai_async._io.observe.observers import HOOKS


class Listener:
    """Keeps each record, in order, as ``(method, record)``.

    Args:
        wants_content: Whether it asks for prompts and answers.
    """

    def __init__(self, *, wants_content: bool = False) -> None:
        self.wants_content = wants_content
        self.heard: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        if name not in HOOKS:
            raise AttributeError(name)

        def hear(record: Any) -> None:
            self.heard.append((name, record))

        return hear

    @property
    def names(self) -> list[str]:
        """The methods that were called."""
        return [name for name, _ in self.heard]

    def of(self, name: str) -> list[Any]:
        """Return what the method *name* was given."""
        return [record for heard, record in self.heard if heard == name]

    @property
    def record(self) -> Any:
        """What the only call ended with."""
        (record,) = self.of("call_ended")
        return record
