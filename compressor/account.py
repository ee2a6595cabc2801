"""Says what became of every block: the lists a result shows. Reads finished drafts; changes nothing."""

from __future__ import annotations

from compressor.blocks import PINNED
from compressor.board import Board
from compressor.plan import Selection
from compressor.refs import ref_of
from compressor.result import Action, BlockReport, Dropped

NO_ROOM = "the budget has no room for the message's mark"


def list_dropped(board: Board, selection: Selection | None) -> list[Dropped]:
    """Every stretch that is not in the output, in order of the context."""
    out = []
    for draft in board.drafts:
        block = draft.block
        if selection is None or draft.action not in ("excerpt", "dropped"):
            continue
        for first, last, reason, score in selection.explain(draft):
            for start, end in draft.places(first, last):
                span = (start + block.start, end + block.start)
                out.append(Dropped(block.number, block.slot.message, block.kind, span, reason, score, draft.ref))
    for block in board.blocks:
        if block.slot.message in board.removed and block.text:
            ref = ref_of(block.text)
            span = (block.start, block.end)
            out.append(Dropped(block.number, block.slot.message, block.kind, span, NO_ROOM, 0.0, ref))
    return sorted(out, key=lambda d: (d.block, d.span))


def list_blocks(board: Board) -> list[BlockReport]:
    """Every block and what became of it, in order of the context."""
    drafts = {d.block.number: d for d in board.drafts}
    out = []
    for b in board.blocks:
        d = drafts.get(b.number)
        image = b.slot.image
        before = board.counter.count(b.text) if image is None else board.counter.image(image)
        action: Action
        if b.slot.message in board.removed:
            action, after, tokens, reason = "dropped", "", 0, NO_ROOM
        elif d is None:
            action, after, tokens, reason = "pinned" if b.level == PINNED else "kept", b.text, before, b.reason
        else:
            action, after, reason = d.action, d.after, d.reason
            tokens = before if action == "kept" else board.counter.count(after)
        cut = action in ("excerpt", "dropped")
        out.append(
            BlockReport(
                block=b.number,
                message=b.slot.message,
                kind=b.kind,
                name=b.slot.name,
                action=action,
                before=b.text,
                after=after,
                tokens_before=before,
                tokens_after=tokens,
                reason=reason,
                layout=d.layout.kind if d else "",
                ref=(d.ref if d else ref_of(b.text)) if cut else None,
            )
        )
    return out
