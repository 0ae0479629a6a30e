"""Where the names of the points in a picture stand, so that none lies on another.

In: the points and the sizes of their names, in pixels. Out: the lower left corner of each name. Greedy: of the places
round its point a name takes the nearest on which no name, no point and no line is; if each has something on it, the one
with the least. So a picture that is too full has overlaps; it does not fail.
"""

from collections.abc import Sequence
from typing import NamedTuple

# Right first, because names are read from there; then round the point.
DIRECTIONS = ((1, 0), (0, 1), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))
DOT = 5.0  # half the width of a point with a little air
AIR = 3.0  # that a name needs on each side
DISTANCES = (DOT + AIR, 12.0, 20.0, 30.0, 45.0, 60.0, 80.0, 105.0)  # pixels from a point to its name
# Of each name or point that is hit, of each spot of a line, of each pixel between a point and its name.
NAME_COST, LINE_COST, DISTANCE_COST = 100.0, 3.0, 0.1

LEADER_STEPS = (0.3, 0.5, 0.7, 0.9)  # of the way from a point to its name

Spot = tuple[float, float]


class Box(NamedTuple):
    """A rectangle in pixels, y upwards."""

    left: float
    low: float
    right: float
    high: float

    def hits(self, other: "Box") -> bool:
        """Return whether both have a place in common."""
        return self.left < other.right and other.left < self.right and self.low < other.high and other.low < self.high

    def holds(self, spot: Spot) -> bool:
        """Return whether a pixel lies inside."""
        return self.left <= spot[0] <= self.right and self.low <= spot[1] <= self.high


def place(points: Sequence[Spot], sizes: Sequence[Spot], inside: Box, lines: Sequence[Spot] = ()) -> list[Spot]:
    """Return the lower left corner of each name.

    Args:
        points: what is named.
        sizes: width and height of each name.
        inside: no name stands outside of it.
        lines: pixels of lines, that a name should not lie on if there is another place.
    """
    taken = [Box(x - DOT, y - DOT, x + DOT, y + DOT) for x, y in points]
    found: dict[int, Spot] = {}
    # The one with the most neighbours is served first: it has the fewest places.
    reach = 2 * max((width for width, _ in sizes), default=0.0)
    order = sorted(
        range(len(points)),
        key=lambda i: -sum(abs(x - points[i][0]) < reach and abs(y - points[i][1]) < reach / 2 for x, y in points),
    )
    for i in order:
        boxes = [box for box in candidates(points[i], sizes[i]) if is_within(box, inside)]
        best = min(
            boxes or candidates(points[i], sizes[i]),
            key=lambda box: cost(box, points[i], taken, lines),
        )
        taken.append(best)
        found[i] = (best.left, best.low)
    return [found[i] for i in range(len(points))]


def cost(box: Box, point: Spot, taken: Sequence[Box], lines: Sequence[Spot]) -> float:
    """Return how bad a place is for the name of a point."""
    wide = Box(box.left - AIR, box.low, box.right + AIR, box.high)
    # Of a name that is further away a thin line leads to its point, which should not go through another.
    end = (min(max(point[0], box.left), box.right), min(max(point[1], box.low), box.high))
    leader = [(point[0] + s * (end[0] - point[0]), point[1] + s * (end[1] - point[1])) for s in LEADER_STEPS]
    hit = [
        other
        for other in taken  # what the point itself lies in cannot be kept clear of its line
        if wide.hits(other) or (not other.holds(point) and any(other.holds(spot) for spot in leader))
    ]
    return (
        NAME_COST * len(hit)
        + LINE_COST * sum(wide.holds(spot) for spot in lines)
        + DISTANCE_COST * distance(box, point)
    )


def candidates(point: Spot, size: Spot) -> list[Box]:
    """Return the places round a point, the nearest first."""
    boxes = []
    for away in DISTANCES:
        for right, up in DIRECTIONS:
            # The name's edge, and not its middle, is `away` from the point on each side on which it is moved.
            left = point[0] + right * away + (-size[0] / 2, 0.0, -size[0])[right]
            low = point[1] + up * away + (-size[1] / 2, 0.0, -size[1])[up]
            boxes.append(Box(left, low, left + size[0], low + size[1]))
    return boxes


def is_within(box: Box, inside: Box) -> bool:
    """Return whether a box stands wholly inside another."""
    return inside.left <= box.left and box.right <= inside.right and inside.low <= box.low and box.high <= inside.high


def distance(box: Box, point: Spot) -> float:
    """Return how far a point is from the nearest place of a box."""
    across = max(box.left - point[0], 0.0, point[0] - box.right)
    up = max(box.low - point[1], 0.0, point[1] - box.high)
    return float((across**2 + up**2) ** 0.5)
