"""Files that were changed somewhere: cut short, bytes gone, doubled or others. Seeded, so that failures come again."""

from __future__ import annotations

from random import Random

_HEAD = 400  # bytes, in which formats say what follows


def mutated(content: bytes, random: Random) -> bytes:
    """The content with one to sixteen changes, most of them where its header is."""
    changed = bytearray(content)
    kind = random.random()
    if kind < 0.15:
        return content[: random.randrange(len(content))]
    if kind < 0.25:
        begin = random.randrange(len(content))
        end = min(len(content), begin + random.randrange(1, 64))
        again = random.choice((0, 2, 3))
        return content[:begin] + content[begin:end] * again + content[end:]
    within = min(len(content), _HEAD) if random.random() < 0.7 else len(content)
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        place = random.randrange(within)
        bit = changed[place] ^ (1 << random.randrange(8))
        value = random.choice((bytes([random.randrange(256)]), b"\xff", b"\0", b"\x7f\xff\xff\xff", bytes([bit])))
        changed[place : place + len(value)] = value
    return bytes(changed)
