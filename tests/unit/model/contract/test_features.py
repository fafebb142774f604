"""Features: what messages name of their categories."""

import pytest

from model.service.contract.features import Feature, named

NAMED = {
    "none": ((), ""),
    "two": (("a", "b"), "a, b"),
    "ten": (tuple("abcdefghij"), "a, b, c, d, e, f, g, h, i, j"),
    "eleven": (tuple("abcdefghijk"), "a, b, c, d, e, f, g, h, i, j and 1 more"),
    "long": (("y" * 40, "y" * 41), f"{'y' * 40}, {'y' * 40}…"),
}


@pytest.mark.parametrize(("texts", "said"), NAMED.values(), ids=NAMED)
def test_named(texts: tuple[str, ...], said: str) -> None:
    assert named(texts) == said
    assert Feature(name="x", column="x", kind="category", categories=texts).named == said
