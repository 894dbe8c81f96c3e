"""Figures of state machines. States are in one column, and transitions are in lanes beside it.

Transitions downward are on the right, and those upward are on the left. Lanes are assigned so that transitions never overlap.
Each transition has a number; the table below the figure describes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgproto.language.mentions import Part
from hgproto.sphinx.drawing import GLYPH, address, svg, tag, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from hgproto.language.model import Machine, Row

__all__ = ["Transition", "svg_machines", "transition_id", "transitions_of"]


class _Scale(NamedTuple):
    """The sizes of a figure in pixels.

    ``lane``: the distance between lanes, with room for a number. ``port``: the distance between ends of transitions at a state.
    ``font``, ``number``: the font sizes in states and of numbers. ``room``: the space beside the text in states.
    """

    name: str
    lane: float
    port: float
    font: float
    number: float
    room: float


_WIDE = _Scale("wide", 24.0, 20.0, 13.0, 11.0, 28.0)
_WIDEST = 800.0
"""The largest width of a figure with labels, in pixels."""
_EDGE = 12.0
"""The smallest margin of a figure with labels, in pixels."""
_NARROW = _Scale("narrow", 15.0, 16.0, 11.0, 9.5, 14.0)


class Transition(NamedTuple):
    """A transition from a state to another or to itself, with the rows of the machine for it."""

    number: int
    source: str
    to: str
    rows: tuple[Row, ...]


def transitions_of(machine: Machine) -> list[Transition]:
    """Returns the transitions of a machine, numbered from 1 in the order of its states, without rejections."""
    order = list(machine.states)
    found: dict[tuple[str, str], list[Row]] = {}
    for row in machine.transitions:
        if row.to is not None:
            found.setdefault((row.source, row.to), []).append(row)
    ends = sorted(found, key=lambda ends: (order.index(ends[0]), order.index(ends[1])))
    return [Transition(number, *pair, tuple(found[pair])) for number, pair in enumerate(ends, 1)]


class _End(NamedTuple):
    """An end of a transition at the side of a state. ``key``: the sort key of the ends of a side, from the top."""

    transition: Transition
    is_start: bool
    key: tuple[float, float]


def transition_id(machine: str, transition: Transition) -> str:
    """Returns the anchor of a transition's rows in the table below the figure."""
    return f"transition-{machine}-{transition.number}"


def svg_machines(
    machine: Machine, within: Callable[[str], str] = str, labels: Mapping[int, str] | None = None
) -> tuple[str, ...]:
    """Returns the figures for wide and for narrow pages.

    ``within``: returns the anchor on the page for an anchor of the machine. ``labels``: short texts of transitions by number,
    which the wide figure shows if there is room.
    """
    return _svg(machine, _WIDE, within, labels or {}), _svg(machine, _NARROW, within, {})


def _svg(machine: Machine, scale: _Scale, within: Callable[[str], str], labels: Mapping[int, str]) -> str:
    transitions = transitions_of(machine)
    order = {state: index for index, state in enumerate(machine.states)}
    lanes = _lanes(transitions, order)
    ends = _ends(transitions, order, lanes)
    boxes, height = _boxes(machine, ends, scale)
    width = max(len(state) for state in order) * scale.font * GLYPH + scale.room
    rooms = {
        side: max((lane + 1 for transition, lane in lanes.items() if _side(transition, order) == side), default=0)
        for side in "lr"
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
    for transition in transitions:
        side = _side(transition, order)
        out, step = (right, 1) if side == "r" else (left, -1)
        start, end = (
            boxes[state][0] + scale.port * (_index(ends[state, side], transition, is_start) + 0.5) + 6
            for state, is_start in ((transition.source, True), (transition.to, False))
        )
        rows = within(transition_id(machine.name, transition))
        # A label is outside of its lane, so that the first lane is as close as without labels.
        turn = out + step * (lane * lanes[transition] + scale.lane)
        paths.append(
            _transition(transition, out, turn, start, end, scale, arrow, rows, labels.get(transition.number, ""))
        )
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


def _side(transition: Transition, order: Mapping[str, int]) -> str:
    """Returns the side of a transition: right if it leads downward or to the same state, left if it leads upward."""
    return "r" if order[transition.source] <= order[transition.to] else "l"


def _lanes(transitions: Iterable[Transition], order: Mapping[str, int]) -> dict[Transition, int]:
    """Returns the lane of each transition; 0 is the closest. Shorter transitions choose the first free lane first."""
    lanes: dict[Transition, int] = {}
    taken: dict[str, list[list[tuple[float, float]]]] = {"l": [], "r": []}
    for transition in sorted(
        transitions, key=lambda transition: (abs(order[transition.source] - order[transition.to]), transition.number)
    ):
        low, high = sorted((float(order[transition.source]), float(order[transition.to])))
        side = taken[_side(transition, order)]
        for lane, spans in enumerate(side):
            # Transitions of the same state need different lanes, because their ends are close together.
            if all(high < other_low or other_high < low for other_low, other_high in spans):
                spans.append((low, high))
                lanes[transition] = lane
                break
        else:
            side.append([(low, high)])
            lanes[transition] = len(side) - 1
    return lanes


def _ends(
    transitions: Iterable[Transition], order: Mapping[str, int], lanes: Mapping[Transition, int]
) -> dict[tuple[str, str], list[_End]]:
    """Returns the ends of transitions at each side of each state, from the top, in an order with few crossings.

    Transitions to states above end at the top, with the outermost first. Those to states below end at the bottom, with the
    outermost last.
    """
    ends: dict[tuple[str, str], list[_End]] = {(state, side): [] for state in order for side in "lr"}
    for transition in transitions:
        side = _side(transition, order)
        for state, other, is_start in (
            (transition.source, transition.to, True),
            (transition.to, transition.source, False),
        ):
            away = order[other] - order[state]
            if away == 0:
                key = (0.0, 0.0 if is_start else 1.0)
            else:
                key = (1.0, float(lanes[transition])) if away > 0 else (-1.0, -float(lanes[transition]))
            ends[state, side].append(_End(transition, is_start, key))
    for side_ends in ends.values():
        side_ends.sort(key=lambda end: end.key)
    return ends


def _index(ends: Iterable[_End], transition: Transition, is_start: bool) -> int:
    return next(index for index, end in enumerate(ends) if end.transition is transition and end.is_start is is_start)


def _boxes(
    machine: Machine, ends: Mapping[tuple[str, str], list[_End]], scale: _Scale
) -> tuple[dict[str, tuple[float, float]], float]:
    """Returns the top and the height of each state's box, and the height of the whole figure."""
    boxes, y = {}, 30.0
    for state in machine.states:
        height = max(38.0, 12 + scale.port * max(len(ends[state, side]) for side in "lr"))
        boxes[state] = (y, height)
        y += height + 18
    return boxes, y - 12


def _transition(
    transition: Transition,
    out: float,
    turn: float,
    start: float,
    end: float,
    scale: _Scale,
    arrow: str,
    rows: str,
    label: str,
) -> str:
    """Returns the line of a transition, from the side of a state to its lane and to the side of a state, with its number.

    ``arrow``, ``rows``: the anchors of the arrow's head, and of the transition's rows in the table.
    """
    bend = 7.0 if turn > out else -7.0
    up = -7.0 if end < start else 7.0
    path = f"M{out:g},{start:g} H{turn - bend:g} q{bend:g},0 {bend:g},{up:g} V{end - up:g} q0,{up:g} {-bend:g},{up:g} H{out:g}"
    number = str(transition.number)
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
    said = f"transition {number}, from {transition.source} to {transition.to}"
    data = {"data_from": transition.source, "data_to": transition.to}
    return tag("a", *shapes, class_="hgp-transition", href=f"#{rows}", aria_label=said, **data)


def _box(machine: Machine, state: str, x: float, width: float, y: float, height: float, scale: _Scale) -> str:
    shapes = (
        tag("rect", x=x, y=y, width=width, height=height, rx=8, class_="hgp-box"),
        text(state, x + width / 2, y + height / 2 + 4.5, size=scale.font, text_anchor="middle"),
    )
    part = Part("state", f"{machine.name}.{state}")
    return tag("a", *shapes, class_="hgp-cell", href=address(part), aria_label=f"state {state}", data_state=state)
