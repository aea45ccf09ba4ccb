"""What a prepared call shows of itself."""

from opeai_async._core.call.prepare import Asked


def test_a_prompt_does_not_show() -> None:
    """Traceback printers show locals; what was asked is nobody's business."""
    asked = Asked({"messages": [{"role": "user", "content": "the question"}]}, {"key": "secret"})
    assert "question" not in repr(asked)
    assert "secret" not in repr(asked)
