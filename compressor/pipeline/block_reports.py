"""Says what became of every block: the lists a result shows. Reads finished drafts; changes nothing."""

from __future__ import annotations

from compressor.context.blocks import Block, Priority
from compressor.context.refs import compute_ref
from compressor.context.results import BlockReport, Dropped
from compressor.pipeline.block_edit import BlockEdit
from compressor.pipeline.budget_selector import BudgetSelector
from compressor.pipeline.working_context import WorkingContext

NO_ROOM = "the budget has no room for the message's mark"
LITTLE = "words of little information"


def dropped_spans(draft: BlockEdit, selection: BudgetSelector | None) -> list[Dropped]:
    """The stretches of one draft that are not in the output."""
    block = draft.block
    if selection is None or not draft.is_lossy:
        return []
    gone = [
        (place, reason, score)
        for first, last, reason, score in selection.explain(draft)
        for place in draft.source_spans(first, last)
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


def block_report(draft: BlockEdit) -> BlockReport:
    """What became of one draft."""
    block = draft.block
    return BlockReport(
        block=block.number,
        message=block.slot.message,
        kind=block.kind,
        name=block.slot.name,
        action=draft.action,
        before=block.text,
        after=draft.text,
        tokens_before=block.tokens,
        tokens_after=block.tokens if draft.action == "kept" else draft.counter.count(draft.text),
        reason=draft.reason,
        layout=draft.layout.kind,
        ref=draft.ref if draft.is_lossy else None,
    )


def list_dropped(board: WorkingContext, selection: BudgetSelector | None) -> list[Dropped]:
    """Every stretch that is not in the output, in order of the context."""
    out = [gone for draft in board.drafts for gone in dropped_spans(draft, selection)]
    for block in board.blocks:
        if block.slot.message in board.removed and block.text:
            ref = compute_ref(block.text)
            span = (block.start, block.end)
            out.append(Dropped(block.number, block.slot.message, block.kind, span, NO_ROOM, 0.0, ref))
    return sorted(out, key=lambda d: (d.block, d.span))


def list_blocks(board: WorkingContext) -> list[BlockReport]:
    """Every block and what became of it, in order of the context."""
    drafts = {d.block.number: d for d in board.drafts}
    return [block_report(drafts[b.number]) if b.number in drafts else _untouched(board, b) for b in board.blocks]


def _untouched(board: WorkingContext, block: Block) -> BlockReport:
    """The report of a block that no draft was made of, or whose message was left out whole."""
    image = block.slot.image
    before = board.counter.count(block.text) if image is None else board.counter.count_image(image)
    gone = block.slot.message in board.removed
    return BlockReport(
        block=block.number,
        message=block.slot.message,
        kind=block.kind,
        name=block.slot.name,
        action="dropped" if gone else "pinned" if block.priority == Priority.PINNED else "kept",
        before=block.text,
        after="" if gone else block.text,
        tokens_before=before,
        tokens_after=0 if gone else before,
        reason=NO_ROOM if gone else block.reason,
        ref=compute_ref(block.text) if gone else None,
    )
