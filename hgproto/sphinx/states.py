"""State machines as figures: states one below the other, the ways between them in lanes beside.

Downward ways run on the right, upward ways on the left, each in a lane of its own for as long as it is, so that nothing
lies on anything else whatever the machine. Ways are numbered; the table beside the figure says when each is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgproto.language.mentions import Part
from hgproto.sphinx.drawing import GLYPH, address, svg, tag, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from hgproto.language.model import Machine, Row

__all__ = ["Way", "svg_machines", "way_id", "ways_of"]


class _Scale(NamedTuple):
    """Sizes of a figure, in pixels.

    ``lane``: from one lane to the next, room for a number. ``port``: from one end of a way to the next on the side of a state.
    ``font``, ``number``: of the text in states and of the numbers. ``room``: beside the text in states.
    """

    name: str
    lane: float
    port: float
    font: float
    number: float
    room: float


_WIDE = _Scale("wide", 24.0, 20.0, 13.0, 11.0, 28.0)
_WIDEST = 800.0
"""The width that a figure with labels may have, in pixels."""
_EDGE = 12.0
"""The least room beside the states of a figure with labels, in pixels."""
_NARROW = _Scale("narrow", 15.0, 16.0, 11.0, 9.5, 14.0)


class Way(NamedTuple):
    """A way from a state to another or to itself, and the rows of the machine that take it."""

    number: int
    source: str
    to: str
    rows: tuple[Row, ...]


def ways_of(machine: Machine) -> list[Way]:
    """The ways of a machine, numbered from 1 in the order of its states; refusals are none."""
    order = list(machine.states)
    found: dict[tuple[str, str], list[Row]] = {}
    for row in machine.transitions:
        if row.to is not None:
            found.setdefault((row.source, row.to), []).append(row)
    ends = sorted(found, key=lambda ends: (order.index(ends[0]), order.index(ends[1])))
    return [Way(number, *pair, tuple(found[pair])) for number, pair in enumerate(ends, 1)]


class _End(NamedTuple):
    """An end of a way at the side of a state: ``key`` orders the ends of one side from the top."""

    way: Way
    is_start: bool
    key: tuple[float, float]


def way_id(machine: str, way: Way) -> str:
    """The anchor of a way's rows in the table beside the figure."""
    return f"transition-{machine}-{way.number}"


def svg_machines(
    machine: Machine, within: Callable[[str], str] = str, labels: Mapping[int, str] | None = None
) -> tuple[str, ...]:
    """The figure for wide pages, and the one for narrow pages.

    ``within``: returns the anchor on the page for an anchor of the machine. ``labels``: short texts of transitions by number,
    which the wide figure shows if there is room.
    """
    return _svg(machine, _WIDE, within, labels or {}), _svg(machine, _NARROW, within, {})


def _svg(machine: Machine, scale: _Scale, within: Callable[[str], str], labels: Mapping[int, str]) -> str:
    ways = ways_of(machine)
    order = {state: index for index, state in enumerate(machine.states)}
    lanes = _lanes(ways, order)
    ends = _ends(ways, order, lanes)
    boxes, height = _boxes(machine, ends, scale)
    width = max(len(state) for state in order) * scale.font * GLYPH + scale.room
    rooms = {
        side: max((lane + 1 for way, lane in lanes.items() if _side(way, order) == side), default=0) for side in "lr"
    }
    roomy = scale.lane + max(map(len, labels.values()), default=0) * scale.number * GLYPH
    if width + roomy * sum(rooms.values()) + 2 * _EDGE > _WIDEST:
        labels = {}
    lane = roomy if labels else scale.lane
    sides = {side: _EDGE + lane * count if labels else lane * (count + 0.5) for side, count in rooms.items()}
    left = sides["l"]
    right = left + width
    arrow = within(f"arrow-{machine.name}-{scale.name}")
    paths: list[str] = []
    for way in ways:
        side = _side(way, order)
        out, step = (right, 1) if side == "r" else (left, -1)
        start, end = (
            boxes[state][0] + scale.port * (_index(ends[state, side], way, is_start) + 0.5) + 6
            for state, is_start in ((way.source, True), (way.to, False))
        )
        rows = within(way_id(machine.name, way))
        # A label is outside of its lane, so the first lane is as near as without labels.
        turn = out + step * (lane * lanes[way] + scale.lane)
        paths.append(_way(way, out, turn, start, end, scale, arrow, rows, labels.get(way.number, "")))
    marker = tag(
        "marker", tag("path", d="M0,0 L8,4 L0,8 z"), id=arrow, viewBox="0 0 8 8", refX=8, refY=4,
        markerWidth=7, markerHeight=7, orient="auto", class_="hgp-arrow",
    )  # fmt: skip
    middle, top = left + width / 2, boxes[machine.initial][0]
    initial = tag("path", d=f"M{middle:g},4 V{top - 1:g}", class_="hgp-line", marker_end=f"url(#{arrow})")
    dot = tag("circle", cx=middle, cy=6, r=5, class_="hgp-start")
    shapes = [_box(machine, state, left, width, *boxes[state], scale) for state in order]
    label = f"The states of {machine.name} and the transitions between them; the table below describes each."
    parts = [tag("defs", marker), initial, dot, *paths, *shapes]
    return svg(label, right + sides["r"], height, parts, "hgp-machine")


def _side(way: Way, order: Mapping[str, int]) -> str:
    """Where a way runs: downward and to the state itself on the right, upward on the left."""
    return "r" if order[way.source] <= order[way.to] else "l"


def _lanes(ways: Iterable[Way], order: Mapping[str, int]) -> dict[Way, int]:
    """The lane of each way, 0 beside the states: short ways first, each in the first lane that is free all along it."""
    lanes: dict[Way, int] = {}
    taken: dict[str, list[list[tuple[float, float]]]] = {"l": [], "r": []}
    for way in sorted(ways, key=lambda way: (abs(order[way.source] - order[way.to]), way.number)):
        low, high = sorted((float(order[way.source]), float(order[way.to])))
        side = taken[_side(way, order)]
        for lane, spans in enumerate(side):
            # Ways that share a state may not share a lane: their ends are side by side there.
            if all(high < other_low or other_high < low for other_low, other_high in spans):
                spans.append((low, high))
                lanes[way] = lane
                break
        else:
            side.append([(low, high)])
            lanes[way] = len(side) - 1
    return lanes


def _ends(ways: Iterable[Way], order: Mapping[str, int], lanes: Mapping[Way, int]) -> dict[tuple[str, str], list[_End]]:
    """The ends of ways at each side of each state, from the top, so that ways cross as little as they can.

    Ways to what is above leave above, the outermost highest; ways to what is below leave below, the outermost lowest.
    """
    ends: dict[tuple[str, str], list[_End]] = {(state, side): [] for state in order for side in "lr"}
    for way in ways:
        side = _side(way, order)
        for state, other, is_start in ((way.source, way.to, True), (way.to, way.source, False)):
            away = order[other] - order[state]
            if away == 0:
                key = (0.0, 0.0 if is_start else 1.0)
            else:
                key = (1.0, float(lanes[way])) if away > 0 else (-1.0, -float(lanes[way]))
            ends[state, side].append(_End(way, is_start, key))
    for side_ends in ends.values():
        side_ends.sort(key=lambda end: end.key)
    return ends


def _index(ends: Iterable[_End], way: Way, is_start: bool) -> int:
    return next(index for index, end in enumerate(ends) if end.way is way and end.is_start is is_start)


def _boxes(
    machine: Machine, ends: Mapping[tuple[str, str], list[_End]], scale: _Scale
) -> tuple[dict[str, tuple[float, float]], float]:
    """The top and the height of each state's box, and the height of the whole figure."""
    boxes, y = {}, 30.0
    for state in machine.states:
        height = max(38.0, 12 + scale.port * max(len(ends[state, side]) for side in "lr"))
        boxes[state] = (y, height)
        y += height + 18
    return boxes, y - 12


def _way(
    way: Way, out: float, turn: float, start: float, end: float, scale: _Scale, arrow: str, rows: str, label: str
) -> str:
    """The way from a state's side into its lane and back to a state's side, with its number on the lane.

    ``arrow``, ``rows``: the anchors of the arrow's head and of the way's rows in the table.
    """
    bend = 7.0 if turn > out else -7.0
    up = -7.0 if end < start else 7.0
    path = f"M{out:g},{start:g} H{turn - bend:g} q{bend:g},0 {bend:g},{up:g} V{end - up:g} q0,{up:g} {-bend:g},{up:g} H{out:g}"
    number = str(way.number)
    middle = (start + end) / 2
    shapes: tuple[str, ...] = (
        tag("path", d=path, class_="hgp-line", marker_end=f"url(#{arrow})"),
        tag("circle", cx=turn, cy=middle, r=scale.number * 0.8, class_="hgp-number"),
        text(number, turn, middle + scale.number * 0.36, size=scale.number, text_anchor="middle", class_="hgp-note"),
    )
    if label:
        side = 1 if turn > out else -1
        anchor = "start" if side > 0 else "end"
        x, y = turn + side * (scale.number * 0.8 + 4), middle + scale.number * 0.36
        shapes += (text(label, x, y, size=scale.number, text_anchor=anchor, class_="hgp-note hgp-label"),)
    said = f"transition {number}, from {way.source} to {way.to}"
    data = {"data_from": way.source, "data_to": way.to}
    return tag("a", *shapes, class_="hgp-way", href=f"#{rows}", aria_label=said, **data)


def _box(machine: Machine, state: str, x: float, width: float, y: float, height: float, scale: _Scale) -> str:
    shapes = (
        tag("rect", x=x, y=y, width=width, height=height, rx=8, class_="hgp-box"),
        text(state, x + width / 2, y + height / 2 + 4.5, size=scale.font, text_anchor="middle"),
    )
    part = Part("state", f"{machine.name}.{state}")
    return tag("a", *shapes, class_="hgp-cell", href=address(part), aria_label=f"state {state}", data_state=state)
