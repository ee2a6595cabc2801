"""Reports what became of every block: the lists `dropped` and `blocks` of a result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from compressor.context.blocks import Block, Priority
from compressor.context.image_edits import parse_picture_edit
from compressor.context.model import Image
from compressor.context.refs import compute_ref
from compressor.context.results import BlockImage, BlockReport, Dropped, ToolSize
from compressor.pipeline.block_edit import BlockEdit
from compressor.pipeline.budget_selector import BudgetSelector
from compressor.pipeline.working_context import WorkingContext

NO_SPACE_FOR_PLACEHOLDER = "the budget has no tokens for a placeholder of this message"
LOW_INFORMATION_WORDS = "words of little information"


def originals_of(block_edits: Iterable[BlockEdit]) -> dict[str, str]:
    """Returns the texts to store for what is missing in edited blocks, by ref."""
    originals: dict[str, str] = {}
    for edit in block_edits:
        if edit.is_lossy:
            originals[edit.ref] = edit.original
            if (ref := _dropped_ref(edit)) != edit.ref:
                originals[ref] = edit.block.text
    return originals


def _dropped_ref(edit: BlockEdit) -> str:
    """Returns the ref of the text that the spans of an edit's dropped stretches are offsets in."""
    return compute_ref(edit.block.text) if edit.is_recut and not edit.is_json else edit.ref


def dropped_spans(edit: BlockEdit, selector: BudgetSelector | None) -> list[Dropped]:
    """Returns the stretches of one edited block that are not in the output."""
    block = edit.block
    if selector is None or not edit.is_lossy:
        return []
    if block.slot.image is not None:
        score = next((found[3] for found in selector.explain(edit)), 0.0)
        return [Dropped(block.number, block.slot.message, block.kind, (0, 0), edit.reason, score, edit.ref)]
    dropped = [
        (span, reason, score)
        for first, last, reason, score in selector.explain(edit)
        for span in edit.source_spans(first, last)
    ]
    dropped += [(span, LOW_INFORMATION_WORDS, score) for span, score in selector.explain_words(edit)]
    ref = _dropped_ref(edit)
    return [
        Dropped(
            block.number,
            block.slot.message,
            block.kind,
            (start + block.start, end + block.start),
            reason,
            score,
            ref,
        )
        for (start, end), reason, score in sorted(dropped)
    ]


def block_report(edit: BlockEdit) -> BlockReport:
    """Returns the report of one edited block of text."""
    block = edit.block
    return BlockReport(
        block=block.number,
        message=block.slot.message,
        kind=block.kind,
        name=block.slot.name,
        action=edit.action,
        before=block.text,
        after=edit.text,
        tokens_before=block.tokens,
        tokens_after=block.tokens if edit.action == "kept" else edit.counter.count(edit.text),
        reason=edit.reason,
        layout=edit.layout.kind,
        ref=edit.ref if edit.is_lossy else None,
    )


def list_dropped(working: WorkingContext, selector: BudgetSelector | None) -> list[Dropped]:
    """Returns every stretch that is not in the output, in the order of the context."""
    dropped = [span for edit in working.block_edits for span in dropped_spans(edit, selector)]
    gone = {edit.block.number for edit in working.block_edits if edit.action == "dropped"}
    for block in working.blocks if working.images.edits else ():
        key = block.slot.message, block.slot.path
        if (ref := working.images.refs.get(key)) and block.number not in gone and key[0] not in working.evicted:
            dropped.append(Dropped(block.number, key[0], block.kind, (0, 0), working.images.reasons[key], 0.0, ref))
    for block in working.blocks:
        if block.slot.message in working.evicted and block.text:
            ref = compute_ref(block.text)
            span = (block.start, block.end)
            reason = NO_SPACE_FOR_PLACEHOLDER
            dropped.append(Dropped(block.number, block.slot.message, block.kind, span, reason, 0.0, ref))
    return sorted(dropped, key=lambda d: (d.block, d.span))


def list_blocks(working: WorkingContext) -> list[BlockReport]:
    """Returns a report of every block, in the order of the context."""
    edits = {edit.block.number: edit for edit in working.block_edits}
    return [
        _image_report(working, b, edits.get(b.number))
        if b.slot.image is not None
        else block_report(edits[b.number])
        if b.number in edits
        else _untouched(working, b)
        for b in working.blocks
    ]


def list_tool_sizes(working: WorkingContext) -> list[ToolSize]:
    """Returns what the results of each tool took, in the order of their first block."""
    edits = {edit.block.number: edit for edit in working.block_edits}
    sums: dict[str, ToolSize] = {}
    for block in working.blocks:
        if block.kind != "tool_result":
            continue
        edit = edits.get(block.number)
        report = block_report(edit) if edit is not None else _untouched(working, block)
        name = block.slot.name or ""
        known = sums.get(name, ToolSize(name, 0, 0, 0))
        before, after = known.tokens_before + report.tokens_before, known.tokens_after + report.tokens_after
        sums[name] = ToolSize(name, known.results + 1, before, after)
    return [*sums.values()]


def _image_report(working: WorkingContext, block: Block, edit: BlockEdit | None) -> BlockReport:
    """Returns the report of an image, with its size in place of a text."""
    from compressor.images.drawing import image_part

    report, key = _untouched(working, block), (block.slot.message, block.slot.path)
    size = block.slot.image or Image()
    shown = f"image {size.width} × {size.height}" if size.width else "image"
    image = BlockImage(size.width, size.height, size.width, size.height, "", image_part(working.context, key))
    if report.action == "dropped":
        return replace(report, before=shown, image=replace(image, shown_width=0, shown_height=0))
    text, ref = working.images.edits.get(key, ""), working.images.refs.get(key)
    reason = working.images.reasons.get(key, "")
    if edit is not None and edit.action == "dropped":
        text, ref, reason = edit.text, edit.ref, edit.reason
    if not text:
        return replace(report, before=shown, after=shown, image=image)
    picture = parse_picture_edit(text)
    width, height = (0, 0) if picture is None else (picture.width, picture.height)
    return replace(
        report,
        action="dropped" if picture is None else "excerpt",
        before=shown,
        after=text if picture is None else f"{picture.note} image {width} × {height}".strip(),
        tokens_after=working.counter.count_edit(block.slot, text),
        reason=reason,
        layout="image",
        ref=ref,
        image=replace(image, shown_width=width, shown_height=height, edit=text),
    )


def _untouched(working: WorkingContext, block: Block) -> BlockReport:
    """Returns the report of a block that was not edited, or whose message was left out whole."""
    before = working.counter.count_slot(replace(block.slot, text=block.text))
    evicted = block.slot.message in working.evicted
    return BlockReport(
        block=block.number,
        message=block.slot.message,
        kind=block.kind,
        name=block.slot.name,
        action="dropped" if evicted else "pinned" if block.priority == Priority.PINNED else "kept",
        before=block.text,
        after="" if evicted else block.text,
        tokens_before=before,
        tokens_after=0 if evicted else before,
        reason=NO_SPACE_FOR_PLACEHOLDER if evicted else block.reason,
        ref=compute_ref(block.text) if evicted else None,
    )
