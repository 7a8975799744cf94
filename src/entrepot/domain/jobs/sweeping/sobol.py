"""Sobol's sequence: points that fill the unit cube more evenly than random ones, in Gray code order.

Direction numbers: S. Joe and F. Y. Kuo, "Constructing Sobol sequences with better two-dimensional projections" (2008).
"""

import random
from collections.abc import Sequence

from entrepot.core.errors import Unsupported

_BITS = 32
_SCALE = 2.0**-_BITS
# (coefficients of the primitive polynomial, initial direction numbers), from the second dimension on
_DIRECTIONS: Sequence[tuple[int, tuple[int, ...]]] = (
    (0, (1,)),
    (1, (1, 3)),
    (1, (1, 3, 1)),
    (2, (1, 1, 1)),
    (1, (1, 1, 3, 3)),
    (4, (1, 3, 5, 13)),
    (2, (1, 1, 5, 5, 17)),
    (4, (1, 1, 5, 5, 5)),
    (7, (1, 1, 7, 11, 19)),
    (11, (1, 1, 5, 1, 1)),
    (13, (1, 1, 1, 3, 11)),
    (14, (1, 3, 5, 5, 31)),
    (1, (1, 3, 3, 9, 7, 49)),
    (13, (1, 1, 1, 15, 21, 21)),
    (16, (1, 3, 1, 13, 27, 49)),
    (19, (1, 1, 1, 15, 7, 5)),
    (22, (1, 3, 1, 15, 13, 25)),
    (25, (1, 1, 5, 5, 19, 61)),
    (1, (1, 3, 7, 11, 23, 15, 103)),
    (4, (1, 3, 7, 13, 13, 15, 69)),
)
MOST_DIMENSIONS = len(_DIRECTIONS) + 1


def point(index: int, dimensions: int, *, seed: int | None = None) -> tuple[float, ...]:
    """Return a point of the sequence, whose first is 0; `seed` shifts all of them. Raises Unsupported."""
    if dimensions > MOST_DIMENSIONS:
        raise Unsupported(
            f"Sobol sampling of {dimensions} parameters", instead=f"At most {MOST_DIMENSIONS} can be sampled so."
        )
    gray = index ^ (index >> 1)
    shifts = random.Random(seed) if seed is not None else None  # noqa: S311 - no secret
    found = []
    for dimension in range(dimensions):
        number = shifts.getrandbits(_BITS) if shifts else 0
        for bit, direction in enumerate(_direction_numbers(dimension)):
            if gray >> bit & 1:
                number ^= direction
        found.append(number * _SCALE)
    return tuple(found)


def _direction_numbers(dimension: int) -> list[int]:
    if dimension == 0:
        return [1 << (_BITS - 1 - bit) for bit in range(_BITS)]
    polynomial, initial = _DIRECTIONS[dimension - 1]
    degree = len(initial)
    found = [number << (_BITS - 1 - bit) for bit, number in enumerate(initial)]
    for bit in range(degree, _BITS):
        number = found[bit - degree] ^ (found[bit - degree] >> degree)
        for term in range(1, degree):
            if polynomial >> (degree - 1 - term) & 1:
                number ^= found[bit - term]
        found.append(number)
    return found
