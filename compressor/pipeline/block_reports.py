"""Says what became of every block: the lists a result shows. Reads finished drafts; changes nothing."""

from __future__ import annotations

from compressor.context.blocks import PINNED, Block
from compressor.context.refs import ref_of
from compressor.context.results import BlockReport, Dropped
from compressor.pipeline.block_edit import Draft
from compressor.pipeline.budget_selector import Selection
from compressor.pipeline.working_context import Board

NO_ROOM = "the budget has no room for the message's mark"
LITTLE = "words of little information"


def dropped_of(draft: Draft, selection: Selection | None) -> list[Dropped]:
    """The stretches of one draft that are not in the output."""
    block = draft.block
    if selection is None or not draft.cut:
        return []
    gone = [
        (place, reason, score)
        for first, last, reason, score in selection.explain(draft)
        for place in draft.places(first, last)
    ]
    gone += [(place, LITTLE, score) for place, score in selection.explain_words(draft)]
    return [
        Dropped(
            block.number,
            block.slot.message,
            block.kind,
            (start + block.start, end + block.start),
            reason,
            score,
            draft.ref,
        )
        for (start, end), reason, score in sorted(gone)
    ]


def report_of(draft: Draft) -> BlockReport:
    """What became of one draft."""
    block = draft.block
    return BlockReport(
        block=block.number,
        message=block.slot.message,
        kind=block.kind,
        name=block.slot.name,
        action=draft.action,
        before=block.text,
        after=draft.after,
        tokens_before=block.tokens,
        tokens_after=block.tokens if draft.action == "kept" else draft.counter.count(draft.after),
        reason=draft.reason,
        layout=draft.layout.kind,
        ref=draft.ref if draft.cut else None,
    )


def list_dropped(board: Board, selection: Selection | None) -> list[Dropped]:
    """Every stretch that is not in the output, in order of the context."""
    out = [gone for draft in board.drafts for gone in dropped_of(draft, selection)]
    for block in board.blocks:
        if block.slot.message in board.removed and block.text:
            ref = ref_of(block.text)
            span = (block.start, block.end)
            out.append(Dropped(block.number, block.slot.message, block.kind, span, NO_ROOM, 0.0, ref))
    return sorted(out, key=lambda d: (d.block, d.span))


def list_blocks(board: Board) -> list[BlockReport]:
    """Every block and what became of it, in order of the context."""
    drafts = {d.block.number: d for d in board.drafts}
    return [report_of(drafts[b.number]) if b.number in drafts else _untouched(board, b) for b in board.blocks]


def _untouched(board: Board, block: Block) -> BlockReport:
    """The report of a block that no draft was made of, or whose message was left out whole."""
    image = block.slot.image
    before = board.counter.count(block.text) if image is None else board.counter.image(image)
    gone = block.slot.message in board.removed
    return BlockReport(
        block=block.number,
        message=block.slot.message,
        kind=block.kind,
        name=block.slot.name,
        action="dropped" if gone else "pinned" if block.level == PINNED else "kept",
        before=block.text,
        after="" if gone else block.text,
        tokens_before=before,
        tokens_after=0 if gone else before,
        reason=NO_ROOM if gone else block.reason,
        ref=ref_of(block.text) if gone else None,
    )
