"""A remembered codec gives what a new one gives, whatever it held in between."""

from __future__ import annotations

from compressor.text.lossless import back_reference_memory
from compressor.text.lossless.back_reference_memory import codec_of
from compressor.text.lossless.back_references import BackReferenceCodec
from compressor.text.lossless.line_index import DictLineIndex
from support.property_tests import given, settings, st

lines = st.sampled_from(
    [f"value {i} of the configuration is {i * i}" for i in range(6)] + ["", "  12:x = 1", "  13:y = 2"]
)
texts = st.lists(lines, max_size=14).map("\n".join)


@settings(deadline=None)
@given(
    st.lists(texts, min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 5), st.lists(texts, max_size=3)), max_size=4),
)
def test_remembered_and_new_codecs_agree(results: list[str], changes: list[tuple[int, list[str]]]) -> None:
    for count, more in changes:
        fresh = BackReferenceCodec()
        for label, text in enumerate(results, 1):
            fresh.add(label, text)
        with codec_of(results) as codec:
            for label, text in enumerate([*more, *results], len(results) + 1):
                assert codec.encode(text) == fresh.encode(text)
                codec.add(label, text)
                fresh.add(label, text)
        results = [*results[: max(count, 1)], *more]


def test_looking_for_lines_leaves_nothing_behind() -> None:
    results = ["first\nresult\nof\nfour\nlines"]
    with codec_of(results) as codec:
        size = codec.size
    for i in range(20):
        with codec_of(results) as codec:
            codec.encode("\n".join(f"line {i} {k}" for k in range(9)))
            codec.add(2, f"text {i}\nof two lines")
    assert codec.size == size
    if isinstance(codec._index, DictLineIndex):
        assert sum(map(len, codec._index._ids.values())) == 5 and len(codec._index._newest) == 2
    assert back_reference_memory._CODECS.get(results[0]) is codec
